// Command narrow takes away from the client of msgraph-sdk-go, in a copy of its module, the parts of
// Microsoft Graph that it is not told to leave, so that they are not compiled: they would take longer
// than all else of azwi, which uses none of them.
//
//	narrow DIRECTORY METHOD...
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "narrow:", err)
		os.Exit(1)
	}
}

func run(sdk string, methods []string) error {
	for _, name := range []string{"graph_base_service_client.go", "graph_service_client.go"} {
		file := filepath.Join(sdk, name)
		narrowed, err := narrow(file, methods)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, narrowed, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// narrow is a file without the methods that return a request builder, but for some, and without
// the imports that nothing needs then.
func narrow(file string, methods []string) ([]byte, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	parsed.Decls = slices.DeleteFunc(parsed.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv != nil && returnsBuilder(f) && !slices.Contains(methods, f.Name.Name)
	})
	used := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, d := range parsed.Decls {
		if imports, ok := d.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			imports.Specs = slices.DeleteFunc(imports.Specs, func(s ast.Spec) bool {
				name := s.(*ast.ImportSpec).Name
				return name != nil && name.Name != "_" && !used[name.Name]
			})
		}
	}
	var out bytes.Buffer
	err = printer.Fprint(&out, files, parsed)
	return out.Bytes(), err
}

// returnsBuilder reports whether a method returns one request builder of another package.
func returnsBuilder(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	pointer, ok := f.Type.Results.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.SelectorExpr)
	return ok && strings.HasSuffix(of.Sel.Name, "RequestBuilder")
}

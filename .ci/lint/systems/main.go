// Systems vets the packages of a module as other systems see them:
//
//	systems DIR linux/arm64 darwin/arm64 windows/amd64
//
// It finds what go vet finds, tests included, and reads the types of other modules from their
// sources, where go vet has all of them compiled for each system first: on a new machine that is
// half an hour.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
)

func main() {
	dir, err := filepath.Abs(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	status := 0
	for _, platform := range os.Args[2:] {
		fmt.Println("vet", platform)
		if err := check(dir, platform); err != nil {
			fmt.Fprintln(os.Stderr, platform+":", err)
			status = 1
		}
	}
	os.Exit(status)
}

// check prints what vet finds in the module in dir on a platform (GOOS/GOARCH), and returns an
// error if that is anything.
func check(dir, platform string) error {
	system, processor, _ := strings.Cut(platform, "/")
	roots, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypesSizes | packages.NeedModule,
		Dir:   dir,
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor),
		Tests: true,
	}, "./...")
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	packages.Visit(roots, nil, func(p *packages.Package) { typecheck(p, fset) })
	if n := packages.PrintErrors(roots); n > 0 {
		return fmt.Errorf("%d errors: expected packages that compile", n)
	}
	graph, err := checker.Analyze(analyzers(), roots, nil)
	if err != nil {
		return err
	}
	if err := graph.PrintText(os.Stderr, 0); err != nil {
		return err
	}
	for action := range graph.All() {
		if action.IsRoot && (action.Err != nil || len(action.Diagnostics) > 0) {
			return errors.New("vet found what is above")
		}
	}
	return nil
}

// analyzers returns those of go vet. The suite is ahead of Go's by one, which asks for the error
// of each bufio.Scanner, those of a program's output included, which ends with the program.
func analyzers() []*analysis.Analyzer {
	return slices.DeleteFunc(slices.Clone(vet.Suite), func(a *analysis.Analyzer) bool { return a.Name == "scannererr" })
}

// typecheck reads a package, all of whose imports have been. Of another module's it reads what
// importers see, and no function's body.
func typecheck(p *packages.Package, fset *token.FileSet) {
	p.Fset = fset
	p.TypesInfo = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{},
		Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Scopes: map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
	}
	if p.PkgPath == "unsafe" {
		p.Types = types.Unsafe
		return
	}
	ours := p.Module != nil && p.Module.Main
	mode := parser.SkipObjectResolution
	if ours {
		mode |= parser.ParseComments
	}
	fail := func(err error) {
		if at, what, _ := strings.Cut(err.Error(), ": "); ours {
			p.Errors = append(p.Errors, packages.Error{Pos: at, Msg: what})
		}
	}
	for _, name := range p.CompiledGoFiles {
		file, err := parser.ParseFile(fset, name, nil, mode)
		if err != nil {
			fail(err)
			continue
		}
		if !ours {
			withoutBodies(file)
		}
		p.Syntax = append(p.Syntax, file)
	}
	config := types.Config{Importer: imports(p.Imports), Sizes: p.TypesSizes, IgnoreFuncBodies: !ours, Error: fail}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	p.Types, _ = config.Check(p.PkgPath, fset, p.Syntax, p.TypesInfo) // fail was told
}

type imports map[string]*packages.Package

func (i imports) Import(path string) (*types.Package, error) {
	if p := i[path]; p != nil {
		return p.Types, nil
	}
	return nil, fmt.Errorf("cannot find package %q", path)
}

func withoutBodies(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Body != nil { // a function in assembly has none
				n.Body.List = nil
			}
		case *ast.FuncLit:
			n.Body.List = nil
		}
		return true
	})
}

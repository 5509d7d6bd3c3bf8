package docs_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write api.txt anew: what is promised to Go programs")

const module = "github.com/wiemu/wiemu/"

// At most this many exported identifiers are promised to Go programs (VERSIONING.md):
// methods of exported types count, fields do not.
const (
	maxPublic  = 400
	maxHarness = 80 // of which five are storage accounts', three databases', five caches', four PostgreSQL servers', and two lead drivers there
)

// Every name that Go programs may use is in api.txt, so that none is
// promised, and none goes, without somebody having decided it.
func TestPublicNames(t *testing.T) {
	public := publicNames(t)
	var names []string
	for name := range public {
		names = append(names, name)
	}
	slices.Sort(names)
	harness := len(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "harness ") }))
	if len(names) > maxPublic {
		t.Errorf("%d exported identifiers outside internal: expected at most %d", len(names), maxPublic)
	}
	if harness > maxHarness {
		t.Errorf("%d exported identifiers in ./harness: expected at most %d", harness, maxHarness)
	}
	t.Logf("%d exported identifiers outside internal, %d of them in ./harness", len(names), harness)

	const file = "api.txt"
	if *updateAPI {
		if err := os.WriteFile(file, []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	promised := strings.Split(strings.TrimSpace(string(content)), "\n")
	for _, name := range names {
		if !slices.Contains(promised, name) {
			t.Errorf("%s: new in public. Make it internal or unexported; if Go programs of users need it, add it to what VERSIONING.md promises: go test ./docs -run TestPublicNames -update-api", public[name])
		}
	}
	for _, name := range promised {
		if public[name] == "" {
			t.Errorf("%s: promised by VERSIONING.md and no longer there; -update-api takes it back", name)
		}
	}
}

// publicNames maps "PACKAGE NAME", or "PACKAGE TYPE.METHOD", to its position. It
// also fails for public declarations that name a type of an internal package,
// which nobody outside could use.
func publicNames(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for dir, files := range publicPackages(t) {
		for _, file := range files {
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Name.Name == "main" {
				continue
			}
			internal := internalImports(parsed)
			ast.FileExports(parsed) // without what is unexported, fields included
			for name, node := range publicDeclarations(parsed) {
				position := strings.TrimPrefix(set.Position(node.Pos()).String(), "../")
				names[dir+" "+name] = position + ": " + name
				ast.Inspect(node, func(n ast.Node) bool {
					if selector, ok := n.(*ast.SelectorExpr); ok {
						if x, ok := selector.X.(*ast.Ident); ok && internal[x.Name] != "" {
							t.Errorf("%s: %s has %s.%s of %s in its signature: public declarations name public types only", position, name, x.Name, selector.Sel.Name, internal[x.Name])
						}
					}
					_, body := n.(*ast.BlockStmt)
					return !body
				})
			}
		}
	}
	return names
}

// publicPackages lists the files of this platform in each importable package.
func publicPackages(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains([]string{"internal", "testdata", "bin"}, entry.Name()) || strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		if match, err := build.Default.MatchFile(filepath.Dir(name), entry.Name()); err != nil || !match {
			return err
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "../")
		packages[dir] = append(packages[dir], name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func internalImports(file *ast.File) map[string]string {
	imports := map[string]string{}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(imported, "/internal/") || !strings.HasPrefix(imported, module) {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = strings.TrimPrefix(imported, module)
	}
	return imports
}

// publicDeclarations yields the exported declarations of a file by name.
func publicDeclarations(file *ast.File) map[string]ast.Node {
	declared := map[string]ast.Node{}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			name, public := d.Name.Name, d.Name.IsExported()
			if d.Recv != nil {
				receiver := receiverType(d.Recv.List[0].Type)
				name, public = receiver+"."+name, public && ast.IsExported(receiver)
			}
			if public {
				declared[name] = d.Type
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						declared[s.Name.Name] = s
					}
				case *ast.ValueSpec:
					for _, name := range s.Names {
						if name.IsExported() {
							declared[name.Name] = typeOrName(s, name)
						}
					}
				}
			}
		}
	}
	return declared
}

// typeOrName leaves values out: what a constant is made from is nobody's signature.
func typeOrName(spec *ast.ValueSpec, name *ast.Ident) ast.Node {
	if spec.Type != nil {
		return spec.Type
	}
	return name
}

func receiverType(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return receiverType(e.X)
	case *ast.IndexExpr:
		return receiverType(e.X)
	case *ast.Ident:
		return e.Name
	}
	return fmt.Sprintf("%T", expression)
}

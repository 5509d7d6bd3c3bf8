package faults_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// A kind of fault that does nothing would be listed, injected and counted, and nobody
// would see it.
func TestEachKindDoesSomething(t *testing.T) {
	used := usedConstants(t)
	at := map[string]int{} // kinds by their point
	for _, k := range fault.Kinds() {
		at[k.Point]++
	}
	for _, k := range fault.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			switch k.Point {
			case faultkind.AtArrival, faultkind.AtRequest:
				if sound, hit := answered(t, http.MethodGet), answered(t, http.MethodGet, fault.Fault{Name: k.Name}); sound == hit {
					t.Errorf("a request is answered as without the fault: %s", hit)
				}
			case faultkind.AtWrite:
				if sound, hit := answered(t, http.MethodPut), answered(t, http.MethodPut, fault.Fault{Name: k.Name}); sound == hit {
					t.Errorf("a write is answered as without the fault: %s", hit)
				}
			case faultkind.AtDiscovery, faultkind.AtJWKS:
				if sound, hit := fetched(t, k.Point), fetched(t, k.Point, fault.Fault{Name: k.Name}); sound == hit {
					t.Errorf("a document is fetched as without the fault: %s", hit)
				}
			default: // its effect is in the package that it is about, which asks for it by name, or for all of its point
				if alone := at[k.Point] == 1 && used[k.Point]; !used[k.Name] && !alone {
					t.Errorf("no package below emulator, harness and internal names it: what does it do at %s?", k.Point)
				}
			}
		})
	}
}

// answered is what a client sees of an answer, and after how long.
func answered(t *testing.T, method string, injected ...fault.Fault) (seen string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := newSet(t, injected...)
		w, began := httptest.NewRecorder(), time.Now()
		defer func() {
			aborted := recover()
			if err, ok := aborted.(error); aborted != nil && (!ok || !errors.Is(err, http.ErrAbortHandler)) {
				t.Errorf("it was not the fault that ended the answer: %v", aborted)
			}
			seen = fmt.Sprintf("%d %v %s, ended by %v after %v", w.Code, w.Header(), w.Body, aborted, time.Since(began))
		}()
		s.Answers("arm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if status, _, refused := faults.Refusal(r.Context()); refused {
				w.WriteHeader(status)
			}
			_, _ = io.WriteString(w, `{"value":"the answer"}`)
		})).ServeHTTP(w, httptest.NewRequest(method, "https://h.example/", nil))
	})
	return seen
}

// fetched is what Entra ID sees of an issuer's document, and after how long.
func fetched(t *testing.T, point string, injected ...fault.Fault) (seen string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := newSet(t, injected...)
		began, body := time.Now(), []byte(nil)
		response, err := s.Documents(point, "https://issuer.example/", document{}).RoundTrip(httptest.NewRequest(http.MethodGet, "https://issuer.example/", nil))
		if err == nil {
			body, err = io.ReadAll(response.Body)
		}
		seen = fmt.Sprintf("%s, %v after %v", body, err, time.Since(began))
	})
	return seen
}

// document answers with members of both documents.
type document struct{}

func (document) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = io.WriteString(w, `{"issuer":"https://issuer.example/","keys":[{"kid":"a","kty":"RSA"},{"kid":"b","kty":"RSA"}]}`)
	response := w.Result()
	response.Request = r
	return response, nil
}

// usedConstants are the values of the constants that other packages use: names of
// kinds, and points.
func usedConstants(t *testing.T) map[string]bool {
	t.Helper()
	constants, used := map[string]string{}, map[string]bool{}
	eachFile(t, filepath.Join("..", "faultkind"), func(f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, value := range v.Values {
					if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
						constants[v.Names[i].Name], _ = strconv.Unquote(text.Value)
					}
				}
			}
			return true
		})
	})
	for _, dir := range []string{"emulator", "harness", "internal"} {
		eachFile(t, filepath.Join("..", "..", dir), func(f *ast.File) {
			if f.Name.Name == "fault" || f.Name.Name == "faults" { // the catalogue and what injects its faults
				return
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if of, ok := s.X.(*ast.Ident); ok && of.Name == "faultkind" {
						used[constants[s.Sel.Name]] = true
					}
				}
				return true
			})
		})
	}
	return used
}

// eachFile parses the Go files below a folder, without the tests.
func eachFile(t *testing.T, dir string, visit func(*ast.File)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err == nil {
			visit(f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Package clustertest is an API server for tests: it keeps objects as JSON in memory, whatever
// their kind, and refuses as a real one does. It knows neither defaults nor validation.
package clustertest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/wiemu/wiemu/internal/kubeversion"
)

// Server is an API server.
type Server struct {
	*httptest.Server

	mu        sync.Mutex
	token     string // that is required; "" if none is
	objects   map[string]map[string]any
	forbidden []string // methods with paths
	version   int
	asked     []string
}

// New starts an API server that ends with the test. token is the bearer token that it
// requires. If empty, it requires none.
func New(t testing.TB, token string) *Server {
	s := &Server{token: token, objects: map[string]map[string]any{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	s.Put("/version", map[string]any{"major": "1", "minor": strconv.Itoa(kubeversion.Minor), "gitVersion": kubeversion.Version})
	return s
}

// Kubeconfig writes a kubeconfig with the server's token and returns its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(s.KubeconfigFor("token: "+s.token)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// KubeconfigFor returns a kubeconfig with the fields for its user.
func (s *Server) KubeconfigFor(user string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: test\npreferences: {}\ncontexts:\n- name: test\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster: {server: '%s', certificate-authority-data: %s}\nusers:\n- name: u\n  user: {%s}\n",
		s.URL, base64.StdEncoding.EncodeToString(s.CA()), user)
}

// CA returns the CA of the server's certificate, in PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// SetToken changes the required token.
func (s *Server) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Put makes or replaces the object at a path.
func (s *Server) Put(path string, object map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, object)
}

// Object returns the object at a path, nil if there is none.
func (s *Server) Object(path string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects[path])
}

// Remove deletes the object at a path.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
}

// Forbid refuses requests such as "POST /api/v1/namespaces/shop/configmaps".
func (s *Server) Forbid(requests ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden = requests
}

// Asked returns the requests so far, as Forbid takes them, and forgets them.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *Server) store(path string, object map[string]any) {
	s.version++
	object = maps.Clone(object)
	metadata, _ := object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["resourceVersion"] = strconv.Itoa(s.version)
	object["metadata"] = metadata
	s.objects[path] = object
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	resource, name := resourceOf(r.URL.Path)
	if r.Method == http.MethodPost {
		resource = plural(r.URL.Path)
	}
	switch {
	case s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token:
		s.refuse(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	case slices.Contains(s.forbidden, r.Method+" "+r.URL.Path):
		s.refuse(w, http.StatusForbidden, "Forbidden", fmt.Sprintf("%s is forbidden: User \"wiemu\" cannot do this", resource))
	case r.Method == http.MethodPost:
		s.create(w, r.URL.Path, body)
	case r.URL.Query().Has("fieldSelector"):
		s.list(w, r.URL.Path, r.URL.Query().Get("fieldSelector"))
	case s.objects[r.URL.Path] == nil:
		s.refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", resource, name))
	case r.Method == http.MethodGet:
		s.answer(w, http.StatusOK, s.objects[r.URL.Path])
	case r.Method == http.MethodPut:
		s.replace(w, r.URL.Path, resource, body)
	default:
		s.refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
	}
}

// list answers for all namespaces, with the objects of one name.
func (s *Server) list(w http.ResponseWriter, path, selector string) {
	name, ok := strings.CutPrefix(selector, "metadata.name=")
	if !ok {
		s.refuse(w, http.StatusBadRequest, "BadRequest", fmt.Sprintf("field label not supported: %s", selector))
		return
	}
	items := []any{}
	prefix, resource := path[:strings.LastIndexByte(path, '/')]+"/namespaces/", plural(path)
	for _, at := range slices.Sorted(maps.Keys(s.objects)) {
		namespace, is := strings.CutSuffix(strings.TrimPrefix(at, prefix), "/"+resource+"/"+name)
		if !is || !strings.HasPrefix(at, prefix) {
			continue
		}
		o := maps.Clone(s.objects[at])
		metadata, _ := o["metadata"].(map[string]any)
		metadata = maps.Clone(metadata)
		metadata["namespace"] = namespace
		o["metadata"] = metadata
		items = append(items, o)
	}
	s.answer(w, http.StatusOK, map[string]any{"kind": "List", "items": items})
}

func (s *Server) create(w http.ResponseWriter, path string, body []byte) {
	object, ok := s.read(w, body)
	if !ok {
		return
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	at := path + "/" + name
	if s.objects[at] != nil {
		s.refuse(w, http.StatusConflict, "AlreadyExists", fmt.Sprintf("%s %q already exists", plural(path), name))
		return
	}
	s.store(at, object)
	s.answer(w, http.StatusCreated, s.objects[at])
}

func (s *Server) replace(w http.ResponseWriter, path, resource string, body []byte) {
	object, ok := s.read(w, body)
	if !ok {
		return
	}
	metadata, _ := object["metadata"].(map[string]any)
	is, _ := s.objects[path]["metadata"].(map[string]any)
	if version := metadata["resourceVersion"]; version != nil && version != is["resourceVersion"] {
		s.refuse(w, http.StatusConflict, "Conflict", fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", resource, metadata["name"]))
		return
	}
	s.store(path, object)
	s.answer(w, http.StatusOK, s.objects[path])
}

func (s *Server) read(w http.ResponseWriter, body []byte) (map[string]any, bool) {
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		s.refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return nil, false
	}
	return object, true
}

func (s *Server) answer(w http.ResponseWriter, code int, object map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // who does not read the answer is gone
}

func (s *Server) refuse(w http.ResponseWriter, code int, reason, message string) {
	s.answer(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "reason": reason, "message": message, "code": code})
}

func resourceOf(path string) (resource, name string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 {
		return path, ""
	}
	return parts[len(parts)-2], parts[len(parts)-1]
}

func plural(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

package entra

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/entra/discovery"
	"github.com/wiemu/wiemu/internal/httppath"
)

// consumersID is the tenant of personal Microsoft accounts.
const consumersID = "9188040d-6c67-4c5b-b112-36a304b66dad"

// describe finds the tenant of a metadata request. A domain is answered with the
// tenant's id.
func (s *Service) describe(r *http.Request) (discovery.Tenant, *aadsts.Error) {
	asked := httppath.Segment(r, 0)
	t := discovery.Tenant{Cloud: s.config.Cloud, Host: s.endpointHost(r)}
	if found, ok := s.config.Directory.Tenant(asked); ok {
		t.Path, t.ID = found.ID, found.ID
		return t, nil
	}
	if !isSharedTenant(asked) {
		return t, refuseTenant(asked)
	}
	t.Path, t.ID = strings.ToLower(asked), "{tenantid}" // a template for multi-tenant applications, literally
	if t.Path == "consumers" {
		t.ID = consumersID
	}
	return t, nil
}

// endpointHost is the host that a discovery document sends clients to: the one
// they asked, so that a client with an authority host of its own stays there.
// The host of v1 issuers only names those, and one of another cloud sends clients
// to the tenant's own, which is inferred.
func (s *Service) endpointHost(r *http.Request) string {
	host := discovery.PlainHost(r.Host)
	if host == "" || host == s.config.Cloud.STS || s.config.Cloud.IsForeignLogin(host) || strings.ContainsFunc(host, func(c rune) bool {
		return !isAlphanumeric(c) && !strings.ContainsRune(".-:[]", c)
	}) {
		return s.config.Cloud.Login
	}
	return host
}

// serveDocument answers with a document about the tenant of the path.
func (s *Service) serveDocument(document func(discovery.Tenant) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, refusal := s.describe(r)
		if refusal != nil {
			s.refuseMetadata(w, r, refusal)
			return
		}
		s.replyMetadata(w, r, document(t))
	}
}

func (s *Service) serveInstance(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	endpoint, err := url.Parse(query.Get("authorization_endpoint"))
	if err == nil && endpoint.Scheme == "https" && endpoint.Host != "" {
		if reply, ok := discovery.Instances(endpoint, r.Host, query.Get("api-version")); ok {
			s.replyMetadata(w, r, reply)
			return
		}
	}
	s.refuseMetadata(w, r, aadsts.UnknownInstance())
}

// serveUserRealm answers GET /common/userrealm/{user}, which clients ask before
// they send a password.
func (s *Service) serveUserRealm(w http.ResponseWriter, r *http.Request) {
	user := cmp.Or(httppath.Segment(r, 2), r.URL.Query().Get("user"))
	_, domain, _ := strings.Cut(user, "@")
	if _, ok := s.config.Directory.Tenant(domain); !ok || !isDomain(domain) {
		domain = ""
	}
	s.replyMetadata(w, r, discovery.UserRealm(s.config.Cloud, domain))
}

// replyMetadata answers with a discovery document, which caches may keep a day.
func (s *Service) replyMetadata(w http.ResponseWriter, r *http.Request, document any) {
	s.metadataHeaders(w, r, s.newTraceID())
	writeJSON(w, http.StatusOK, document)
}

// refuseMetadata answers a question about what does not exist. Its headers are
// those of a document, cacheable (seen 2021-08).
func (s *Service) refuseMetadata(w http.ResponseWriter, r *http.Request, refusal *aadsts.Error) {
	traceID, correlationID := s.recordRefusal(r, refusal, refusal.Status, "a client asked for metadata that does not exist")
	s.metadataHeaders(w, r, traceID)
	writeJSON(w, refusal.Status, refusal.Reply(s.config.Cloud.Login, s.config.Clock.Now(), traceID.String(), correlationID.String()))
}

func (s *Service) metadataHeaders(w http.ResponseWriter, r *http.Request, traceID uuid.UUID) {
	h := w.Header()
	h["Cache-Control"] = []string{"max-age=86400, private"}
	s.setCookies(h, "esctx="+s.opaque()+"; domain=."+s.config.Cloud.Login+"; path=/; secure; HttpOnly; SameSite=None")
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Access-Control-Allow-Methods"] = []string{"GET, OPTIONS"}
	s.commonHeaders(h, traceID, r.Header.Get("Client-Request-Id"))
}

package issuer

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// Cluster answers what of the Kubernetes API has to do with tokens: TokenRequest
// and TokenReview, service accounts, reading namespaces, and what kubectl asks
// a server before that. Every request must bear adminToken; with "" none is
// answered. Serve it over TLS: kubectl sends no bearer token without.
func (i *Issuer) Cluster(adminToken string) http.Handler {
	r := mux.NewRouter().SkipClean(true)
	get := func(path string, handler http.HandlerFunc) {
		r.HandleFunc(path, handler).Methods(http.MethodGet, http.MethodHead)
	}
	const accounts = "/api/v1/namespaces/{namespace}/serviceaccounts"
	r.HandleFunc(accounts+"/{name}/token", i.createToken).Methods(http.MethodPost)
	r.HandleFunc("/apis/"+authenticationGroup+"/v1/tokenreviews", i.createReview).Methods(http.MethodPost)
	r.HandleFunc(accounts, i.createServiceAccount).Methods(http.MethodPost)
	r.HandleFunc(accounts+"/{name}", i.updateServiceAccount).Methods(http.MethodPut)
	r.HandleFunc(accounts+"/{name}", i.deleteServiceAccount).Methods(http.MethodDelete)
	get(accounts+"/{name}", i.getServiceAccount)
	get(accounts, i.listServiceAccounts)
	get("/api/v1/serviceaccounts", i.listServiceAccounts)
	get("/api/v1/namespaces/{name}", i.getNamespace)
	get("/api/v1/namespaces", i.listNamespaces)
	for path, document := range clusterDocuments() {
		get(path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, http.StatusOK, document) })
	}
	get(configurationPath, i.serveConfiguration) // under the API server's own root, whatever the issuer's URL
	get(keysPath, i.serveKeys)
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, refusal(http.StatusNotFound, "NotFound", "the server could not find the requested resource", &StatusDetails{}))
	})
	r.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, methodNotAllowed()) })
	return withBearer(adminToken, r)
}

// withBearer refuses requests without the bearer token.
// Kubernetes: staging/src/k8s.io/apiserver/pkg/authentication/request/bearertoken
func withBearer(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, presented, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
		if token == "" || !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(presented), []byte(token)) != 1 {
			refuse(w, refusal(http.StatusUnauthorized, "Unauthorized", "Unauthorized", nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Issuer) createToken(w http.ResponseWriter, r *http.Request) {
	vars := mux.Vars(r)
	var body tokenRequest
	if refused := readObject(w, r, "TokenRequest", &body.typeMeta, &body); refused != nil {
		refuse(w, refused)
		return
	}
	if ns := body.Metadata.Namespace; ns != "" && ns != vars["namespace"] {
		refuse(w, badRequest("the namespace of the provided object does not match the namespace sent on the request"))
		return
	}
	if name := body.Metadata.Name; name != "" && name != vars["name"] {
		refuse(w, invalid(vars["name"], fieldFault{"metadata.name", name, "must match the service account name if specified"}))
		return
	}
	req := TokenRequest{
		Namespace: vars["namespace"], ServiceAccount: vars["name"], UID: body.Metadata.UID,
		Audiences: body.Spec.Audiences, ExpirationSeconds: 3600, BoundObject: body.Spec.BoundObjectRef,
	}
	if seconds := body.Spec.ExpirationSeconds; seconds != nil {
		req.ExpirationSeconds = *seconds // 0 is an error here, not a default
	}
	token, err := i.issue(r.Context(), req)
	if err != nil {
		refuse(w, asStatus(err))
		return
	}
	for _, warning := range token.Warnings {
		w.Header().Add("Warning", `299 - "`+warning+`"`) // RFC 9111 §5.5
	}
	lifetime := token.Claims.Expiry - token.Claims.IssuedAt
	answer(w, r, http.StatusCreated, tokenRequest{
		typeMeta: typeMeta{"TokenRequest", authenticationGroup + "/v1"},
		Metadata: objectMeta{
			Name: req.ServiceAccount, Namespace: req.Namespace,
			UID: token.Claims.Kubernetes.ServiceAccount.UID, CreationTimestamp: timestamp{token.IssuedAt},
		},
		Spec:   tokenRequestSpec{Audiences: token.Claims.Audience, ExpirationSeconds: &lifetime, BoundObjectRef: body.Spec.BoundObjectRef},
		Status: tokenRequestStatus{Token: token.Raw, ExpirationTimestamp: timestamp{token.ExpiresAt}},
	})
}

func (i *Issuer) createReview(w http.ResponseWriter, r *http.Request) {
	var body tokenReview
	if refused := readObject(w, r, "TokenReview", &body.typeMeta, &body); refused != nil {
		refuse(w, refused)
		return
	}
	if body.Spec.Token == "" {
		refuse(w, badRequest("token is required for TokenReview in authentication"))
		return
	}
	answer(w, r, http.StatusCreated, tokenReview{
		typeMeta: typeMeta{"TokenReview", authenticationGroup + "/v1"},
		Metadata: objectMeta{Name: body.Metadata.Name},
		Spec:     body.Spec,
		Status:   i.Review(body.Spec.Token, body.Spec.Audiences),
	})
}

// answer writes a document as JSON, the one format that it is given out in.
func answer(w http.ResponseWriter, r *http.Request, code int, document any) {
	if !acceptsJSON(r) {
		refuse(w, refusal(http.StatusNotAcceptable, "NotAcceptable", "only the following media types are accepted: "+mediaJSON, nil))
		return
	}
	write(w, code, document)
}

func refuse(w http.ResponseWriter, s *Status) { write(w, s.Code, s) }

func write(w http.ResponseWriter, code int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // an error means that the client is gone
}

// asStatus turns what is no refusal of the API, such as a cancelled request,
// into one.
func asStatus(err error) *Status {
	if status := (*Status)(nil); errors.As(err, &status) {
		return status
	}
	return internalError(err)
}

package managedidentity

import (
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/wiemu/wiemu/internal/httpjson"
)

// AppServicePath is where IDENTITY_ENDPOINT leads on App Service, Functions and
// Container Apps.
const AppServicePath = "/msi/token"

// appServiceToken is a granted request of api-version 2019-08-01.
// Source: app-service/overview-managed-identity.md, "REST endpoint reference".
type appServiceToken struct {
	AccessToken string `json:"access_token"`
	ExpiresOn   string `json:"expires_on"` // seconds since 1970
	Resource    string `json:"resource"`
	TokenType   string `json:"token_type"`
	ClientID    string `json:"client_id"`
}

// appServiceError is a refusal. Source: replies that users of SDKs quote.
type appServiceError struct {
	Status  int    `json:"statusCode"`
	Message string `json:"message"`
}

// serveAppService answers IDENTITY_ENDPOINT. That a wrong X-IDENTITY-HEADER is
// answered with 401, and the texts but the one of an unknown identity, are
// inferred.
func (m *machine) serveAppService(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != AppServicePath && r.URL.Path != AppServicePath+"/" {
		http.NotFound(w, r)
		return
	}
	q := request{Request: r, resource: r.URL.Query().Get("resource"), selector: selectorOf(r), service: "App Service"}
	refuse := func(status int, text, meaning, remedy string) {
		m.refused(q, status, text, meaning, remedy)
		httpjson.Write(w, status, appServiceError{status, text})
	}
	version := r.URL.Query().Get("api-version")
	fitting, known := q.selector.find(m.assigned())
	switch {
	case r.Method != http.MethodGet:
		refuse(http.StatusMethodNotAllowed, "Method not allowed.", "", "Use GET.")
		return
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("X-IDENTITY-HEADER")), []byte(m.Header)) != 1:
		refuse(http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.",
			"The header proves that the request comes from the application itself.", "Send X-IDENTITY-HEADER with the value of the variable IDENTITY_HEADER.")
		return
	case version != "2019-08-01":
		refuse(http.StatusBadRequest, "The api-version '"+clipped(version)+"' is not supported.", "", "Use api-version=2019-08-01.")
		return
	case q.resource == "":
		refuse(http.StatusBadRequest, "The resource parameter is missing.", "", "Name the resource that the token is for, such as resource=https://vault.azure.net.")
		return
	}
	if status := m.nextUnavailable(r); status != 0 {
		refuse(status, http.StatusText(status), "", outageCause(r)+".")
		return
	}
	// Without a system-assigned identity a request that names none finds none.
	if len(fitting) == 0 || q.selector.empty() && len(fitting) > 1 {
		refuse(http.StatusBadRequest, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
			"The request names an identity that the app does not have, or none although the app has several.", "Name one that is assigned: "+orNone(known)+".")
		return
	}
	t := m.token(r.Context(), fitting[0], q.resource, q.service)
	if t.refusal != nil {
		reply := t.refusal.Reply(m.service.config.Entra.Cloud().Login, m.now(), t.trace.String(), t.correlation.String())
		httpjson.Write(w, t.refusal.Status, appServiceError{t.refusal.Status, reply.Description})
		return
	}
	m.granted(q, t)
	httpjson.Write(w, http.StatusOK, appServiceToken{
		AccessToken: t.token.AccessToken, ExpiresOn: unix(t.token.ExpiresAt.Truncate(time.Second)),
		Resource: q.resource, TokenType: "Bearer", ClientID: t.clientID,
	})
}

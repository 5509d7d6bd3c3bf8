package managedidentity

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httpjson"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// imdsServer is the Server header. Source: recorded 2025-02 by Azure/kubelogin.
const imdsServer = "IMDS/150.870.65.1497"

// imdsToken is a granted request; everything is a string.
// Source: recorded 2025-02 by Azure/kubelogin.
type imdsToken struct {
	AccessToken  string `json:"access_token"`
	ClientID     string `json:"client_id"`
	ExpiresIn    string `json:"expires_in"`
	ExpiresOn    string `json:"expires_on"`
	ExtExpiresIn string `json:"ext_expires_in"`
	NotBefore    string `json:"not_before"`
	Resource     string `json:"resource"`
	TokenType    string `json:"token_type"`
}

type imdsError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// serveIMDS answers what 169.254.169.254:80 answers on a virtual machine.
func (m *machine) serveIMDS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", imdsServer)
	switch path := strings.ToLower(strings.TrimSuffix(r.URL.Path, "/")); {
	case path == "/metadata/identity/oauth2/token":
		m.serveIMDSToken(w, r)
	case path == "/metadata/versions":
		httpjson.Write(w, http.StatusOK, map[string][]string{"apiVersions": apiVersions})
	case path == "/metadata/instance", strings.HasPrefix(path, "/metadata/instance/"):
		m.serveInstance(w, r, strings.TrimPrefix(path, "/metadata/instance"))
	default:
		httpjson.Write(w, http.StatusNotFound, map[string]string{"error": "Not found"})
	}
}

// request is what a client asked an endpoint for, for the journal.
type request struct {
	*http.Request
	resource string
	selector selector
	service  string // which has the endpoint: IMDS, …
}

// serveIMDSToken makes IMDS's checks in order. The texts are those of
// how-to-use-vm-token.md and of logs that quote replies of Server IMDS/150.870.65.
func (m *machine) serveIMDSToken(w http.ResponseWriter, r *http.Request) {
	q := request{Request: r, resource: r.URL.Query().Get("resource"), selector: selectorOf(r), service: "IMDS"}
	refuse := func(status int, code, text, meaning, remedy string) {
		m.refused(q, status, text, meaning, remedy)
		httpjson.Write(w, status, imdsError{code, text})
	}
	version := r.URL.Query().Get("api-version")
	fitting, known := q.selector.find(m.assigned())
	switch {
	case r.Method != http.MethodGet:
		refuse(http.StatusMethodNotAllowed, "invalid_request", "Method not allowed", "", "Use GET.")
		return
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		refuse(http.StatusBadRequest, "invalid_request", "Required metadata header not specified",
			"IMDS answers only requests that say that they mean it, so that no other service can be tricked into asking.", "Send the header Metadata: true.")
		return
	case r.Header.Get("X-Forwarded-For") != "":
		refuse(http.StatusBadRequest, "invalid_request", "Requests with an X-Forwarded-For header are not allowed",
			"IMDS refuses requests that came through a proxy.", "Ask without X-Forwarded-For.")
		return
	case version == "":
		refuse(http.StatusBadRequest, "invalid_request", "Required query variable 'api-version' is missing", "", "Add api-version=2018-02-01.")
		return
	case !validVersion(version):
		m.refused(q, http.StatusBadRequest, badVersion, "", "Use api-version=2018-02-01.")
		httpjson.Write(w, http.StatusBadRequest, versionError{badVersion, newestVersions()})
		return
	case q.resource == "":
		refuse(http.StatusBadRequest, "invalid_request", "Required query variable 'resource' is missing", "", "Name the resource that the token is for, such as resource=https://vault.azure.net.")
		return
	}
	if status := m.nextUnavailable(r); status != 0 {
		o := outageOf(status)
		if status == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "1")
		}
		refuse(status, o.code, o.text, o.meaning, "Retry with exponential back-off, as the SDKs do; "+outageCause(r)+".")
		return
	}
	switch {
	case len(fitting) == 0:
		refuse(http.StatusBadRequest, "invalid_request", "Identity not found",
			"The identity that the request names is not assigned to this machine.", "Name one that is: "+orNone(known)+".")
		return
	case len(fitting) > 1:
		refuse(http.StatusBadRequest, "invalid_request", "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
			"The request names no identity and the machine has several.", "Give the credential the client id that it is to use, one of "+orNone(known)+".")
		return
	}
	t := m.token(r.Context(), fitting[0], q.resource, q.service)
	if t.refusal != nil { // Entra ID's answer passes through
		httpjson.Write(w, t.refusal.Status, t.refusal.Reply(m.service.config.Entra.Cloud().Login, m.now(), t.trace.String(), t.correlation.String()))
		return
	}
	m.granted(q, t)
	httpjson.Write(w, http.StatusOK, imdsToken{
		AccessToken: t.token.AccessToken, ClientID: t.clientID,
		ExpiresIn: seconds(t.token.ExpiresAt.Sub(m.now().Truncate(time.Second))), ExpiresOn: unix(t.token.ExpiresAt),
		ExtExpiresIn: seconds(t.token.ExpiresIn), NotBefore: unix(t.token.NotBefore),
		Resource: q.resource, TokenType: "Bearer",
	})
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
func unix(t time.Time) string        { return strconv.FormatInt(t.Unix(), 10) }

func orNone(known []string) string {
	if len(known) == 0 {
		return "none is assigned"
	}
	return strings.Join(known, ", ")
}

// outageCause returns why a machine returns no token, for a remedy.
func outageCause(r *http.Request) string {
	if _, _, refused := faults.Refusal(r.Context()); refused {
		return "a fault was injected"
	}
	return "wiemu.yaml asked for this answer (managedIdentity.unavailable)"
}

type outage struct{ code, text, meaning string }

// outageOf returns what an HTTP status of IMDS means.
// Source: how-to-use-vm-token.md, "Error handling"; the text of 429 is from logs,
// the codes of 404 and 410 are inferred.
func outageOf(status int) outage {
	const updating = "IMDS is being updated; it is back in less than 70 seconds."
	switch status {
	case http.StatusNotFound:
		return outage{"not_found", "IMDS endpoint is updating.", updating}
	case http.StatusGone:
		return outage{"gone", "IMDS is going through updates and will be available within 70 seconds.", updating}
	case http.StatusTooManyRequests:
		return outage{"invalid_request", "Temporarily throttled, too many requests", "IMDS answers some requests a second and refuses the rest."}
	default:
		return outage{"unknown", "Failed to retrieve token from the Active directory.", fmt.Sprintf("IMDS answered with %d.", status)}
	}
}

// apiVersions are some of those that IMDS knows; identities came with 2018-02-01.
var apiVersions = []string{"2018-02-01", "2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-06-01", "2019-08-01", "2019-08-15", "2019-11-01",
	"2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15", "2024-07-17"}

func newestVersions() []string {
	n := len(apiVersions)
	return []string{apiVersions[n-1], apiVersions[n-2], apiVersions[n-3]}
}

var date = lazyregexp.New(`^\d{4}-\d{2}-\d{2}$`)

// validVersion reports whether a version is a date from 2018-02-01 on: the list
// of the real service grows, so no later date is refused.
func validVersion(version string) bool {
	return date().MatchString(version) && version >= apiVersions[0]
}

// Source: instance-metadata-service.md, "Versions".
const badVersion = "Bad request. api-version is invalid or was not specified in the request. For more information refer to aka.ms/azureimds"

type versionError struct {
	Error  string   `json:"error"`
	Newest []string `json:"newest-versions"`
}

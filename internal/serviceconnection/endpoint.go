package serviceconnection

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httpjson"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
)

// Host is where tasks ask for their tokens.
// Source: learn.microsoft.com, rest/api/azure/devops/distributedtask/oidctoken/create, as are the
// path and the answer.
const Host = "dev.azure.com"

// Endpoint answers the tasks that were added to it. Its zero value is not usable; see New.
type Endpoint struct {
	journal *journals.Journal

	mu    sync.Mutex
	tasks map[string]task // by path
}

type task struct {
	connection config.ServiceConnection
	sign       Signer
	secret     [sha256.Size]byte // of the access token
}

// Access is what a task asks with.
type Access struct {
	URL   string `json:"url"`   // SYSTEM_OIDCREQUESTURI; a query is appended
	Token string `json:"token"` // SYSTEM_ACCESSTOKEN
	ID    string `json:"id"`    // of the service connection
}

// Signer signs a connection's token.
type Signer func(context.Context) (string, error)

// New returns an endpoint without tasks. Requests that it refuses are journaled; tokens that it
// hands out are journaled by who signs them.
func New(j *journals.Journal) *Endpoint {
	return &Endpoint{journal: j, tasks: map[string]task{}}
}

// Workload is the name of a connection in the journal.
func Workload(c config.ServiceConnection) string { return c.Organization + "/" + c.Name }

// ByAzureDevOps returns who signs the tokens of a connection whose issuer is that of its
// organization. Their audience cannot be chosen: source, Teleport's RFD 211.
func ByAzureDevOps(c config.ServiceConnection, audience string, from *issuer.Issuer) Signer {
	return func(ctx context.Context) (string, error) {
		return from.SignJob(ctx, issuer.JobToken{
			Workload: Workload(c), Subject: c.Subject, Audience: audience, Lifetime: lifetime,
			Claims: func(url, id string, issued time.Time) any {
				return claims{
					ID: id, Subject: c.Subject, Audience: audience, Issuer: url,
					NotBefore: issued.Add(-validBefore).Unix(), Expiry: issued.Add(lifetime).Unix(), IssuedAt: issued.Unix(),
				}
			},
		})
	}
}

// Add admits a task, and returns what it asks with. Each task that is added has its own.
func (e *Endpoint) Add(c config.ServiceConnection, sign Signer) Access {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := func(kind string, of ...any) string {
		return uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(append([]any{kind, " "}, of...)...))).String()
	}
	path := "/" + c.Organization + "/" + id("project", c.OrganizationID, c.Project) + "/_apis/distributedtask/hubs/build/plans/" + id("plan", c, len(e.tasks)) + "/jobs/" + id("job", c, len(e.tasks)) + "/oidctoken"
	token := rand.Text() + rand.Text()
	e.tasks[path] = task{c, sign, sha256.Sum256([]byte(token))}
	e.journal.Secrets().Add("access token of the pipeline of "+Workload(c), token)
	return Access{URL: "https://" + Host + path, Token: token, ID: c.ID}
}

// ServeHTTP answers POST of a task's URL with its bearer token and the id of its connection.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	one, known := e.tasks[httppath.Original(r)]
	e.mu.Unlock()
	connection := r.URL.Query().Get("serviceConnectionId")
	switch {
	case !known:
		e.refuse(r, "", http.StatusNotFound, "there is no such job of a pipeline", "Of "+Host+" only the URL in SYSTEM_OIDCREQUESTURI of a task is emulated: use it as it is, and append ?api-version=7.1&serviceConnectionId= and the connection's id.")
		w.WriteHeader(http.StatusNotFound) // MicrosoftDocs/vsts-rest-api-specs#709: "404 without any more information"
	case !one.bears(r):
		e.refuse(r, Workload(one.connection), http.StatusUnauthorized, "the request does not bear the access token of the pipeline", "Send Authorization: Bearer with SYSTEM_ACCESSTOKEN of this task; in a real pipeline map it: env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}.")
		e.signIn(w, r)
	case r.Method != http.MethodPost:
		e.refuse(r, Workload(one.connection), http.StatusMethodNotAllowed, "the method is "+r.Method, "Use POST.")
		w.Header().Set("Allow", "POST")
		exception(w, http.StatusMethodNotAllowed, "The requested resource does not support http method '"+r.Method+"'.", "") // ASP.NET's text
	case r.URL.Query().Get("api-version") == "" && !strings.Contains(r.Header.Get("Accept"), "api-version="):
		e.refuse(r, Workload(one.connection), http.StatusBadRequest, "the request has no api-version", "Append api-version=7.1 to SYSTEM_OIDCREQUESTURI.")
		exception(w, http.StatusBadRequest, "No api-version was supplied for the \"POST\" request. The version must be supplied either as part of the Accept header (e.g. \"application/json; api-version=1.0\") or as a query parameter (e.g. \"?api-version=1.0\").", "VssVersionNotSpecifiedException")
	case !strings.EqualFold(connection, one.connection.ID):
		e.refuse(r, Workload(one.connection), http.StatusNotFound, "no task of the stage names service connection "+cmp.Or(connection, "(none)"), "Send serviceConnectionId="+one.connection.ID+", the id of "+one.connection.Name+". In a real pipeline a task of the stage has to name the connection, as azureSubscription of AzureCLI@2 does.")
		unreferenced(w, connection)
	default:
		token, err := one.sign(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, http.StatusOK, map[string]string{"oidcToken": token})
	}
}

func (t task) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && sha256.Sum256([]byte(strings.TrimSpace(token))) == t.secret
}

// signIn answers who bears no token of the pipeline: people are sent to sign in, and who says that
// they are none are refused.
// Source: azure-sdk-for-go, azidentity/azure_pipelines_credential.go (the header); the page
// "Object moved" is in the review of Azure/azure-sdk-for-js#29854; the body of 401 is inferred.
func (e *Endpoint) signIn(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("X-TFS-FedAuthRedirect"), "Suppress") {
		w.Header().Set("WWW-Authenticate", `Bearer`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	const at = "https://spsprodcus3.vssps.visualstudio.com/_signin?realm=dev.azure.com&reply_to="
	w.Header().Set("Location", at)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusFound)
	_, _ = fmt.Fprintf(w, "<html><head><title>Object moved</title></head><body>\r\n<h2>Object moved to <a href=\"%s\">here</a>.</h2>\r\n</body></html>\r\n", strings.ReplaceAll(at, "&", "&amp;"))
}

// unreferenced refuses a connection that no task of the stage names.
// Source: dotnet/docker-tools#2012 (2026-03) for the document; Teleport's RFD 211 has "a Not Found
// error" for the status.
func unreferenced(w http.ResponseWriter, connection string) {
	text := fmt.Sprintf("There is no explicit reference to service connection %s from current stage __default.Job.__default.", connection)
	answer(w, http.StatusNotFound, struct {
		Count int    `json:"count"`
		Value string `json:"value"`
	}{len(text), text})
}

// exception answers as Azure DevOps does when it refuses a request as such.
// Source: Azure/azure-sdk-for-js#29854, for the members; the texts are those of its public clients'
// reports, and inferred for this path.
func exception(w http.ResponseWriter, status int, message, key string) {
	if key == "" {
		answer(w, status, map[string]string{"Message": message})
		return
	}
	answer(w, status, struct {
		ID        string `json:"$id"`
		Inner     any    `json:"innerException"`
		Message   string `json:"message"`
		TypeName  string `json:"typeName"`
		TypeKey   string `json:"typeKey"`
		ErrorCode int    `json:"errorCode"`
		EventID   int    `json:"eventId"`
	}{"1", nil, message, "Microsoft.VisualStudio.Services.WebApi." + key + ", Microsoft.VisualStudio.Services.WebApi", key, 0, 3000})
}

func (e *Endpoint) refuse(r *http.Request, workload string, status int, why, remedy string) {
	e.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Component: "Azure DevOps", Workload: workload, Status: status,
		Host: Host, Method: r.Method, Path: r.URL.Path, Summary: "no token for a service connection of Azure DevOps: " + why, Remedy: remedy,
	})
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8; api-version=7.1")
	httpjson.Write(w, status, document)
}

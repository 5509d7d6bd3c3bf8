package managedidentity

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/httpjson"
)

// Where the machine says that it is: MSAL asks for it to find a regional endpoint.
const location = "northeurope"

// serveInstance answers /metadata/instance and the parts below it.
// Source: instance-metadata-service.md.
func (m *machine) serveInstance(w http.ResponseWriter, r *http.Request, below string) {
	q := r.URL.Query()
	switch version := q.Get("api-version"); {
	case r.Method != http.MethodGet:
		httpjson.Write(w, http.StatusMethodNotAllowed, map[string]string{"error": "Method not allowed"})
		return
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		httpjson.Write(w, http.StatusBadRequest, map[string]string{"error": "Bad request. Required metadata header not specified"})
		return
	case version == "":
		httpjson.Write(w, http.StatusBadRequest, versionError{
			"Bad request. api-version was not specified in the request. For more information refer to aka.ms/azureimds", newestVersions(),
		})
		return
	case !date().MatchString(version):
		httpjson.Write(w, http.StatusBadRequest, versionError{badVersion, newestVersions()})
		return
	}
	var part any = m.instance()
	for name := range strings.SplitSeq(strings.Trim(below, "/"), "/") {
		if name == "" {
			continue
		}
		object, _ := part.(map[string]any)
		if part = lookup(object, name); part == nil {
			httpjson.Write(w, http.StatusNotFound, map[string]string{"error": "Not found"})
			return
		}
	}
	if q.Get("format") == "text" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprint(w, textOf(part)) // the client has gone
		return
	}
	httpjson.Write(w, http.StatusOK, part)
}

// lookup finds a member whatever its case: paths were lowered.
func lookup(object map[string]any, name string) any {
	for member, value := range object {
		if strings.EqualFold(member, name) {
			return value
		}
	}
	return nil
}

// textOf is a leaf as it is, and of an object the names of its members.
func textOf(part any) string {
	if object, ok := part.(map[string]any); ok {
		return strings.Join(slices.Sorted(maps.Keys(object)), "\n")
	}
	return fmt.Sprint(part)
}

// instance is the machine's metadata: what programs look at to learn that they
// are in Azure, and where.
func (m *machine) instance() map[string]any {
	parts := strings.Split(m.ResourceID, "/")
	field := func(after string) string {
		for i, p := range parts[:len(parts)-1] {
			if strings.EqualFold(p, after) {
				return parts[i+1]
			}
		}
		return ""
	}
	return map[string]any{
		"compute": map[string]any{
			"azEnvironment": "AzurePublicCloud", "location": location, "name": parts[len(parts)-1], "osType": "Linux",
			"provider": "Microsoft.Compute", "resourceGroupName": field("resourcegroups"), "resourceId": m.ResourceID,
			"subscriptionId": field("subscriptions"), "tags": "", "vmId": uuid.NewSHA1(uuid.NameSpaceURL, []byte(m.ResourceID)).String(),
			"vmSize": "Standard_D2s_v5", "zone": "1",
		},
		"network": map[string]any{"interface": []any{}},
	}
}

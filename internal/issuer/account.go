package issuer

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/internal/kubename"
)

var serviceAccountType = typeMeta{"ServiceAccount", "v1"}

// serviceAccountBody is a service account that a client writes. What else it may say, such as
// labels, is not kept.
type serviceAccountBody struct {
	typeMeta
	Metadata objectMeta   `json:"metadata"`
	entries  []*[2]string // annotations that came as protobuf: names and values
}

func (b *serviceAccountBody) annotations() map[string]string {
	for _, entry := range b.entries {
		if b.Metadata.Annotations == nil {
			b.Metadata.Annotations = map[string]string{}
		}
		b.Metadata.Annotations[entry[0]] = entry[1]
	}
	return b.Metadata.Annotations
}

// createServiceAccount creates one, and with it its namespace, if that has none yet: a namespace
// has no other life here.
func (i *Issuer) createServiceAccount(w http.ResponseWriter, r *http.Request) {
	i.writeServiceAccount(w, r, absent, http.StatusCreated)
}

// updateServiceAccount replaces the annotations of one that exists.
func (i *Issuer) updateServiceAccount(w http.ResponseWriter, r *http.Request) {
	i.writeServiceAccount(w, r, present, http.StatusOK)
}

func (i *Issuer) writeServiceAccount(w http.ResponseWriter, r *http.Request, only presence, code int) {
	namespace, name := mux.Vars(r)["namespace"], mux.Vars(r)["name"]
	var body serviceAccountBody
	refused := dryRun(r)
	if refused == nil {
		refused = readObject(w, r, serviceAccountType.Kind, &body.typeMeta, &body)
	}
	given := body.Metadata.Name
	name = cmp.Or(name, given)
	switch {
	case refused != nil:
	case body.Metadata.Namespace != "" && body.Metadata.Namespace != namespace:
		refused = badRequest("the namespace of the provided object does not match the namespace sent on the request")
	case !kubename.IsLabel(namespace):
		refused = notFound("namespaces", namespace)
	case given != name:
		refused = badRequest("the name of the object (%s) does not match the name on the URL (%s)", given, name)
	case !kubename.IsSubdomain(name):
		refused = invalidAccountName(name)
	}
	if refused != nil {
		refuse(w, refused)
		return
	}
	account, ok := i.putServiceAccount(namespace, name, body.annotations(), only)
	switch {
	case ok:
		answerAccount(w, r, code, account)
	case only == absent:
		refuse(w, refusal(http.StatusConflict, "AlreadyExists", fmt.Sprintf("serviceaccounts %q already exists", name), &StatusDetails{Name: name, Kind: "serviceaccounts"}))
	default:
		refuse(w, notFound("serviceaccounts", name))
	}
}

// deleteServiceAccount answers with what was there. Its options are not read.
// Kubernetes: pkg/registry/core/serviceaccount/storage, ReturnDeletedObject
func (i *Issuer) deleteServiceAccount(w http.ResponseWriter, r *http.Request) {
	namespace, name := mux.Vars(r)["namespace"], mux.Vars(r)["name"]
	account, _ := i.objects.account(namespace, name)
	if refused := dryRun(r); refused != nil {
		refuse(w, refused)
	} else if i.RemoveServiceAccount(namespace, name) {
		answerAccount(w, r, http.StatusOK, account)
	} else {
		refuse(w, notFound("serviceaccounts", name))
	}
}

// dryRun refuses what would be done although it should only be tried.
func dryRun(r *http.Request) *Status {
	if !r.URL.Query().Has("dryRun") {
		return nil
	}
	return badRequest("dryRun is not emulated: leave it out")
}

// invalidAccountName is in the words of staging/src/k8s.io/apimachinery/pkg/api/validation, which
// has more of them about the form of a name.
func invalidAccountName(name string) *Status {
	fault := "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
	if name == "" {
		fault = "name or generateName is required"
	}
	return refusal(http.StatusUnprocessableEntity, "Invalid", fmt.Sprintf("ServiceAccount %q is invalid: metadata.name: Invalid value: %[1]q: %s", name, fault), &StatusDetails{Name: name, Kind: "ServiceAccount"})
}

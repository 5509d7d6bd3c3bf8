package issuer

import (
	"net/http"
	"runtime"

	"github.com/gorilla/mux"
)

func (i *Issuer) getServiceAccount(w http.ResponseWriter, r *http.Request) {
	vars := mux.Vars(r)
	account, ok := i.objects.account(vars["namespace"], vars["name"])
	if !ok {
		refuse(w, notFound("serviceaccounts", vars["name"]))
		return
	}
	shown := account.object()
	shown.typeMeta = typeMeta{"ServiceAccount", "v1"}
	answer(w, r, http.StatusOK, shown)
}

func (i *Issuer) listServiceAccounts(w http.ResponseWriter, r *http.Request) {
	namespace, one := mux.Vars(r)["namespace"]
	items := []object{}
	for _, account := range i.ServiceAccounts() {
		if !one || account.Namespace == namespace {
			items = append(items, account.object())
		}
	}
	answerList(w, r, "ServiceAccountList", items)
}

func (i *Issuer) getNamespace(w http.ResponseWriter, r *http.Request) {
	name := mux.Vars(r)["name"]
	for _, namespace := range i.namespaces() {
		if namespace.Metadata.Name == name {
			namespace.typeMeta = typeMeta{"Namespace", "v1"}
			answer(w, r, http.StatusOK, namespace)
			return
		}
	}
	refuse(w, notFound("namespaces", name))
}

func (i *Issuer) listNamespaces(w http.ResponseWriter, r *http.Request) {
	answerList(w, r, "NamespaceList", i.namespaces())
}

// answerList answers a list. A watch is refused: what changes is told by the
// journal.
func answerList(w http.ResponseWriter, r *http.Request, kind string, items []object) {
	if watch := r.URL.Query().Get("watch"); watch != "" && watch != "0" && watch != "false" {
		refuse(w, methodNotAllowed())
		return
	}
	answer(w, r, http.StatusOK, objectList{
		typeMeta: typeMeta{kind, "v1"},
		Metadata: objectMeta{ResourceVersion: "1"},
		Items:    items,
	})
}

// object is the service account as the API shows it.
func (a ServiceAccount) object() object {
	return object{Metadata: objectMeta{
		Name: a.Name, Namespace: a.Namespace, UID: a.UID, ResourceVersion: "1",
		CreationTimestamp: timestamp{a.CreatedAt}, Annotations: a.Annotations,
	}}
}

// namespaces are those that hold a service account, by name.
func (i *Issuer) namespaces() []object {
	all := []object{}
	for _, account := range i.ServiceAccounts() {
		if last := len(all) - 1; last >= 0 && all[last].Metadata.Name == account.Namespace {
			continue
		}
		all = append(all, object{
			Metadata: objectMeta{
				Name: account.Namespace, ResourceVersion: "1", CreationTimestamp: timestamp{account.CreatedAt},
				Labels: map[string]string{"kubernetes.io/metadata.name": account.Namespace},
			},
			Spec:   &struct{}{},
			Status: &objectStatus{Phase: "Active"},
		})
	}
	return all
}

// clusterDocuments are what kubectl reads to learn what a server has, by path.
func clusterDocuments() map[string]any {
	read := []string{"get", "list"}
	v1 := apiGroupVersion{authenticationGroup + "/v1", "v1"}
	group := apiGroup{Name: authenticationGroup, Versions: []apiGroupVersion{v1}, PreferredVersion: v1}
	alone := group
	alone.typeMeta = typeMeta{"APIGroup", "v1"}
	return map[string]any{
		"/version": versionInfo{
			Major: "1", Minor: "37", GitVersion: "v1.37.2+wiemu", GitTreeState: "clean",
			GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		},
		"/api": apiVersions{typeMeta: typeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}, ServerAddressByClientCIDRs: []struct{}{}},
		"/api/v1": apiResourceList{
			typeMeta: typeMeta{Kind: "APIResourceList"}, GroupVersion: "v1",
			Resources: []apiResource{
				{Name: "namespaces", SingularName: "namespace", Kind: "Namespace", Verbs: read, ShortNames: []string{"ns"}},
				{Name: "serviceaccounts", SingularName: "serviceaccount", Namespaced: true, Kind: "ServiceAccount", Verbs: read, ShortNames: []string{"sa"}},
				{Name: "serviceaccounts/token", Namespaced: true, Group: authenticationGroup, Version: "v1", Kind: "TokenRequest", Verbs: []string{"create"}},
			},
		},
		"/apis":                        apiGroupList{typeMeta: typeMeta{"APIGroupList", "v1"}, Groups: []apiGroup{group}},
		"/apis/" + authenticationGroup: alone,
		"/apis/" + authenticationGroup + "/v1": apiResourceList{
			typeMeta: typeMeta{"APIResourceList", "v1"}, GroupVersion: authenticationGroup + "/v1",
			Resources: []apiResource{{Name: "tokenreviews", SingularName: "tokenreview", Kind: "TokenReview", Verbs: []string{"create"}}},
		},
	}
}

package issuer

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/internal/kubeversion"
)

func (i *Issuer) getServiceAccount(w http.ResponseWriter, r *http.Request) {
	vars := mux.Vars(r)
	account, ok := i.objects.account(vars["namespace"], vars["name"])
	if !ok {
		refuse(w, notFound("serviceaccounts", vars["name"]))
		return
	}
	answerAccount(w, r, http.StatusOK, account)
}

func answerAccount(w http.ResponseWriter, r *http.Request, code int, account ServiceAccount) {
	shown := account.object()
	shown.typeMeta = serviceAccountType
	answer(w, r, code, shown)
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

// answerList answers a list. A watch is refused: changes are in the journal.
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

func (a ServiceAccount) object() object {
	return object{Metadata: objectMeta{
		Name: a.Name, Namespace: a.Namespace, UID: a.UID, ResourceVersion: "1",
		CreationTimestamp: timestamp{a.CreatedAt}, Annotations: a.Annotations,
	}}
}

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

//go:embed cluster.json
var clusterJSON string

// clusterDocuments are what kubectl reads to learn what a server has, by path.
func clusterDocuments() map[string]json.RawMessage {
	text := strings.NewReplacer("{version}", kubeversion.Version, "{minor}", strconv.Itoa(kubeversion.Minor), "{go}", runtime.Version(), "{compiler}", runtime.Compiler, "{platform}", runtime.GOOS+"/"+runtime.GOARCH).Replace(clusterJSON)
	var documents map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &documents); err != nil {
		panic("issuer: cluster.json: " + err.Error()) // it is part of the program
	}
	return documents
}

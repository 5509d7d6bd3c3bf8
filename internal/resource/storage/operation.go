package storage

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/roles"
)

// level is what an operation is about.
type level int

const (
	ofAccount level = iota
	ofContainer
	ofItem    // a blob, or the messages of a queue
	ofMessage // one of the messages of a queue
)

// operation is one thing that a service can be asked for.
type operation struct {
	name    string // as the REST reference calls it
	service Service
	level   level
	method  string // GET also stands for HEAD
	restype string
	comp    string   // * is any
	headers []string // that the request has
	query   string   // a parameter that the request has, or NAME=VALUE

	// needs are the actions, below Microsoft.Storage/storageAccounts/: one of the entries is
	// enough, of an entry all actions are needed, which blanks separate. If nil, whoever is
	// known may.
	needs []string
	// sas are the permissions of a user delegation SAS, one of which is enough. If empty, no
	// SAS can do it.
	sas string
	// tags is the action on blob tags that the request needs besides, as find sees it; "" if none.
	tags string
	do   task
}

// task is what the package does itself for an operation.
type task int

const (
	passOn    task = iota // to the backend
	giveKey               // give out a user delegation key
	takeApart             // a batch
	preflight             // refuse a preflight request of CORS, to everybody
)

// Parts of actions.
const (
	containers = "blobServices/containers/"
	blobs      = "blobServices/containers/blobs/"
	queues     = "queueServices/queues/"
	messages   = "queueServices/queues/messages/"
	tables     = "tableServices/tables/"
	entities   = "tableServices/tables/entities/"
)

// operations are what the services can be asked for; of those that fit a request the
// first one counts. Source: Azure Storage REST reference, each operation's page and
// "Authorize with Microsoft Entra ID", "Permissions for calling data operations"; of SAS
// "Create a user delegation SAS", "Specify permissions".
var operations = []operation{
	{name: "List Containers", service: Blob, level: ofAccount, method: http.MethodGet, comp: "list", needs: []string{containers + "read"}},
	{name: "Get Blob Service Properties", service: Blob, level: ofAccount, method: http.MethodGet, restype: "service", comp: "properties", needs: []string{"blobServices/read"}},
	{name: "Set Blob Service Properties", service: Blob, level: ofAccount, method: http.MethodPut, restype: "service", comp: "properties", needs: []string{"blobServices/write"}},
	{name: "Get Blob Service Stats", service: Blob, level: ofAccount, method: http.MethodGet, restype: "service", comp: "stats", needs: []string{"blobServices/read"}},
	{name: "Get Account Information", service: Blob, level: ofAccount, method: http.MethodGet, restype: "account", comp: "properties", needs: []string{"blobServices/getInfo/action"}},
	{name: "Get User Delegation Key", service: Blob, level: ofAccount, method: http.MethodPost, restype: "service", comp: "userdelegationkey", needs: []string{"blobServices/generateUserDelegationKey/action"}, do: giveKey},
	{name: "Find Blobs by Tags", service: Blob, level: ofAccount, method: http.MethodGet, comp: "blobs", needs: []string{blobs + "filter/action"}},
	{name: "Blob Batch", service: Blob, level: ofAccount, method: http.MethodPost, comp: "batch", do: takeApart},

	{name: "Create Container", service: Blob, level: ofContainer, method: http.MethodPut, restype: "container", needs: []string{containers + "write"}},
	{name: "Get Container Properties", service: Blob, level: ofContainer, method: http.MethodGet, restype: "container", needs: []string{containers + "read"}},
	{name: "Get Container Metadata", service: Blob, level: ofContainer, method: http.MethodGet, restype: "container", comp: "metadata", needs: []string{containers + "read"}},
	{name: "Set Container Metadata", service: Blob, level: ofContainer, method: http.MethodPut, restype: "container", comp: "metadata", needs: []string{containers + "write"}},
	{name: "Get Container ACL", service: Blob, level: ofContainer, method: http.MethodGet, restype: "container", comp: "acl", needs: []string{containers + "getAcl/action"}},
	{name: "Set Container ACL", service: Blob, level: ofContainer, method: http.MethodPut, restype: "container", comp: "acl", needs: []string{containers + "setAcl/action"}},
	{name: "Lease Container", service: Blob, level: ofContainer, method: http.MethodPut, restype: "container", comp: "lease", needs: []string{containers + "write"}},
	{name: "Restore Container", service: Blob, level: ofContainer, method: http.MethodPut, restype: "container", comp: "undelete", needs: []string{containers + "write"}},
	{name: "Delete Container", service: Blob, level: ofContainer, method: http.MethodDelete, restype: "container", needs: []string{containers + "delete"}},
	{name: "List Blobs", service: Blob, level: ofContainer, method: http.MethodGet, restype: "container", comp: "list", needs: []string{blobs + "read"}, sas: "l"},
	{name: "Find Blobs by Tags in Container", service: Blob, level: ofContainer, method: http.MethodGet, restype: "container", comp: "blobs", needs: []string{blobs + "filter/action"}, sas: "f"},
	{name: "Blob Batch", service: Blob, level: ofContainer, method: http.MethodPost, restype: "container", comp: "batch", sas: "dw", do: takeApart},
	{name: "Get Account Information", service: Blob, level: ofContainer, method: http.MethodGet, restype: "account", comp: "properties", needs: []string{"blobServices/getInfo/action"}},

	{name: "Get Account Information", service: Blob, level: ofItem, method: http.MethodGet, restype: "account", comp: "properties", needs: []string{"blobServices/getInfo/action"}},
	{name: "Put Blob From URL", service: Blob, level: ofItem, method: http.MethodPut, headers: []string{"x-ms-copy-source", "x-ms-blob-type"}, needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Copy Blob From URL", service: Blob, level: ofItem, method: http.MethodPut, headers: []string{"x-ms-copy-source", "x-ms-requires-sync"}, needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Copy Blob", service: Blob, level: ofItem, method: http.MethodPut, headers: []string{"x-ms-copy-source"}, needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Put Blob", service: Blob, level: ofItem, method: http.MethodPut, needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Get Blob Properties", service: Blob, level: ofItem, method: http.MethodHead, needs: []string{blobs + "read"}, sas: "r"},
	{name: "Get Blob", service: Blob, level: ofItem, method: http.MethodGet, needs: []string{blobs + "read"}, sas: "r"},
	{name: "Get Blob Metadata", service: Blob, level: ofItem, method: http.MethodGet, comp: "metadata", needs: []string{blobs + "read"}, sas: "r"},
	{name: "Set Blob Metadata", service: Blob, level: ofItem, method: http.MethodPut, comp: "metadata", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Set Blob Properties", service: Blob, level: ofItem, method: http.MethodPut, comp: "properties", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Get Blob Tags", service: Blob, level: ofItem, method: http.MethodGet, comp: "tags", needs: []string{blobs + "tags/read"}, sas: "t"},
	{name: "Set Blob Tags", service: Blob, level: ofItem, method: http.MethodPut, comp: "tags", needs: []string{blobs + "tags/write"}, sas: "t"},
	{name: "Set Blob Tier", service: Blob, level: ofItem, method: http.MethodPut, comp: "tier", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Set Blob Expiry", service: Blob, level: ofItem, method: http.MethodPut, comp: "expiry", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Lease Blob", service: Blob, level: ofItem, method: http.MethodPut, comp: "lease", needs: []string{blobs + "write"}, sas: "dw"},
	{name: "Snapshot Blob", service: Blob, level: ofItem, method: http.MethodPut, comp: "snapshot", needs: []string{blobs + "write", blobs + "add/action"}, sas: "cw"},
	{name: "Undelete Blob", service: Blob, level: ofItem, method: http.MethodPut, comp: "undelete", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Delete Blob Version", service: Blob, level: ofItem, method: http.MethodDelete, query: "versionid", needs: []string{blobs + "deleteBlobVersion/action"}, sas: "x"},
	{name: "Delete Blob Permanently", service: Blob, level: ofItem, method: http.MethodDelete, query: "deletetype", needs: []string{blobs + "permanentDelete/action"}, sas: "y"},
	{name: "Delete Blob", service: Blob, level: ofItem, method: http.MethodDelete, needs: []string{blobs + "delete"}, sas: "d"},
	{name: "Put Block From URL", service: Blob, level: ofItem, method: http.MethodPut, comp: "block", headers: []string{"x-ms-copy-source"}, needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Put Block", service: Blob, level: ofItem, method: http.MethodPut, comp: "block", needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Put Block List", service: Blob, level: ofItem, method: http.MethodPut, comp: "blocklist", needs: []string{blobs + "write"}, sas: "cw"},
	{name: "Get Block List", service: Blob, level: ofItem, method: http.MethodGet, comp: "blocklist", needs: []string{blobs + "read"}, sas: "r"},
	{name: "Put Page From URL", service: Blob, level: ofItem, method: http.MethodPut, comp: "page", headers: []string{"x-ms-copy-source"}, needs: []string{blobs + "write"}, sas: "w"},
	{name: "Put Page", service: Blob, level: ofItem, method: http.MethodPut, comp: "page", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Get Page Ranges", service: Blob, level: ofItem, method: http.MethodGet, comp: "pagelist", needs: []string{blobs + "read"}, sas: "r"},
	{name: "Incremental Copy Blob", service: Blob, level: ofItem, method: http.MethodPut, comp: "incrementalcopy", headers: []string{"x-ms-copy-source"}, needs: []string{blobs + "write"}, sas: "w"},
	{name: "Append Block From URL", service: Blob, level: ofItem, method: http.MethodPut, comp: "appendblock", headers: []string{"x-ms-copy-source"}, needs: []string{blobs + "write", blobs + "add/action"}, sas: "aw"},
	{name: "Append Block", service: Blob, level: ofItem, method: http.MethodPut, comp: "appendblock", needs: []string{blobs + "write", blobs + "add/action"}, sas: "aw"},
	{name: "Append Blob Seal", service: Blob, level: ofItem, method: http.MethodPut, comp: "seal", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Abort Copy Blob", service: Blob, level: ofItem, method: http.MethodPut, comp: "copy", needs: []string{blobs + "write"}, sas: "w"},
	{name: "Query Blob Contents", service: Blob, level: ofItem, method: http.MethodPost, comp: "query", needs: []string{blobs + "read"}, sas: "r"},
	{name: "Set Blob Immutability Policy", service: Blob, level: ofItem, method: http.MethodPut, comp: "immutabilityPolicies", needs: []string{blobs + "immutableStorage/runAsSuperUser/action"}, sas: "i"},
	{name: "Delete Blob Immutability Policy", service: Blob, level: ofItem, method: http.MethodDelete, comp: "immutabilityPolicies", needs: []string{blobs + "immutableStorage/runAsSuperUser/action"}, sas: "i"},
	{name: "Set Blob Legal Hold", service: Blob, level: ofItem, method: http.MethodPut, comp: "legalhold", needs: []string{blobs + "immutableStorage/runAsSuperUser/action"}, sas: "i"},
	{name: "Preflight Blob Request", service: Blob, level: ofItem, method: http.MethodOptions, comp: "*", do: preflight},

	{name: "List Queues", service: Queue, level: ofAccount, method: http.MethodGet, comp: "list", needs: []string{queues + "read"}},
	{name: "Get Queue Service Properties", service: Queue, level: ofAccount, method: http.MethodGet, restype: "service", comp: "properties", needs: []string{"queueServices/read"}},
	{name: "Set Queue Service Properties", service: Queue, level: ofAccount, method: http.MethodPut, restype: "service", comp: "properties", needs: []string{"queueServices/write"}},
	{name: "Get Queue Service Stats", service: Queue, level: ofAccount, method: http.MethodGet, restype: "service", comp: "stats", needs: []string{"queueServices/read"}},
	{name: "Get User Delegation Key", service: Queue, level: ofAccount, method: http.MethodPost, restype: "service", comp: "userdelegationkey", needs: []string{"queueServices/generateUserDelegationKey/action"}, do: giveKey},
	{name: "Create Queue", service: Queue, level: ofContainer, method: http.MethodPut, needs: []string{queues + "write"}},
	{name: "Delete Queue", service: Queue, level: ofContainer, method: http.MethodDelete, needs: []string{queues + "delete"}},
	{name: "Get Queue Metadata", service: Queue, level: ofContainer, method: http.MethodGet, comp: "metadata", needs: []string{queues + "read"}, sas: "r"},
	{name: "Set Queue Metadata", service: Queue, level: ofContainer, method: http.MethodPut, comp: "metadata", needs: []string{queues + "write"}},
	{name: "Get Queue ACL", service: Queue, level: ofContainer, method: http.MethodGet, comp: "acl", needs: []string{queues + "getAcl/action"}},
	{name: "Set Queue ACL", service: Queue, level: ofContainer, method: http.MethodPut, comp: "acl", needs: []string{queues + "setAcl/action"}},
	{name: "Put Message", service: Queue, level: ofItem, method: http.MethodPost, needs: []string{messages + "add/action", messages + "write"}, sas: "a"},
	{name: "Peek Messages", service: Queue, level: ofItem, method: http.MethodGet, query: "peekonly=true", needs: []string{messages + "read"}, sas: "r"},
	{name: "Get Messages", service: Queue, level: ofItem, method: http.MethodGet, needs: []string{messages + "process/action", messages + "delete " + messages + "read"}, sas: "p"},
	{name: "Update Message", service: Queue, level: ofMessage, method: http.MethodPut, needs: []string{messages + "write"}, sas: "u"},
	{name: "Delete Message", service: Queue, level: ofMessage, method: http.MethodDelete, needs: []string{messages + "process/action", messages + "delete"}, sas: "p"},
	{name: "Clear Messages", service: Queue, level: ofItem, method: http.MethodDelete, needs: []string{messages + "delete"}, sas: "p"},
	{name: "Preflight Queue Request", service: Queue, level: ofItem, method: http.MethodOptions, comp: "*", do: preflight},

	{name: "Get Table Service Properties", service: Table, level: ofAccount, method: http.MethodGet, restype: "service", comp: "properties", needs: []string{"tableServices/read"}},
	{name: "Set Table Service Properties", service: Table, level: ofAccount, method: http.MethodPut, restype: "service", comp: "properties", needs: []string{"tableServices/write"}},
	{name: "Get Table Service Stats", service: Table, level: ofAccount, method: http.MethodGet, restype: "service", comp: "stats", needs: []string{"tableServices/read"}},
	{name: "Query Tables", service: Table, level: ofAccount, method: http.MethodGet, needs: []string{tables + "read"}},
	{name: "Entity Group Transaction", service: Table, level: ofAccount, method: http.MethodPost, query: "$batch", needs: []string{entities + "write"}},
	{name: "Create Table", service: Table, level: ofAccount, method: http.MethodPost, needs: []string{tables + "write"}},
	{name: "Delete Table", service: Table, level: ofAccount, method: http.MethodDelete, needs: []string{tables + "delete"}},
	{name: "Get Table ACL", service: Table, level: ofContainer, method: http.MethodGet, comp: "acl", needs: []string{tables + "getAcl/action"}},
	{name: "Set Table ACL", service: Table, level: ofContainer, method: http.MethodPut, comp: "acl", needs: []string{tables + "setAcl/action"}},
	{name: "Query Entities", service: Table, level: ofContainer, method: http.MethodGet, needs: []string{entities + "read"}},
	{name: "Insert Entity", service: Table, level: ofContainer, method: http.MethodPost, needs: []string{entities + "write", entities + "add/action"}},
	{name: "Update Entity", service: Table, level: ofContainer, method: http.MethodPut, needs: []string{entities + "write", entities + "add/action " + entities + "update/action"}},
	{name: "Merge Entity", service: Table, level: ofContainer, method: "MERGE", needs: []string{entities + "write", entities + "add/action " + entities + "update/action"}},
	{name: "Merge Entity", service: Table, level: ofContainer, method: http.MethodPatch, needs: []string{entities + "write", entities + "add/action " + entities + "update/action"}},
	{name: "Delete Entity", service: Table, level: ofContainer, method: http.MethodDelete, needs: []string{entities + "delete"}},
	{name: "Preflight Table Request", service: Table, level: ofItem, method: http.MethodOptions, comp: "*", do: preflight},
}

// find returns the operation that a request asks for. If there is none, it returns false
// and the methods with which the same path and query have one.
func find(r *http.Request, t Target, q url.Values) (_ operation, found bool, methods []string) {
	at := levelOf(t)
	for _, op := range operations {
		if op.service != t.Service || op.do == preflight && r.Method != http.MethodOptions || op.do != preflight && op.level != at {
			continue
		}
		if op.do != preflight && (op.restype != q.Get("restype") || op.comp != q.Get("comp")) || !op.hasQuery(q) {
			continue
		}
		if op.method != r.Method && (op.method != http.MethodGet || r.Method != http.MethodHead) {
			if !slices.Contains(methods, op.method) {
				methods = append(methods, op.method)
			}
			continue
		}
		if !slices.ContainsFunc(op.headers, func(name string) bool { return r.Header.Get(name) == "" }) {
			op.tags = op.onTags(r, q)
			return op, true, nil
		}
	}
	return operation{name: strings.TrimSpace(r.Method + " " + q.Get("comp")), service: t.Service, level: at}, false, methods
}

func (op operation) hasQuery(q url.Values) bool {
	name, value, valued := strings.Cut(op.query, "=")
	switch {
	case op.query == "":
		return true
	case valued:
		return q.Get(name) == value // as backends have it
	}
	return q.Has(name)
}

func levelOf(t Target) level {
	switch {
	case t.Container == "":
		return ofAccount
	case t.Name == "":
		return ofContainer
	}
	if _, id, _ := strings.Cut(t.Name, "/"); t.Service == Queue && id != "" {
		return ofMessage
	}
	return ofItem
}

// onTags is the action on blob tags that a request needs besides what it is for: to give a
// blob tags (REST reference, Put Blob, x-ms-tags), or to list those of blobs (seen:
// Azure/azure-sdk-for-rust#1318). With a SAS that is the permission t; inferred: for a list, too.
func (op operation) onTags(r *http.Request, q url.Values) string {
	switch {
	case op.service != Blob:
	case op.level == ofItem && r.Method == http.MethodPut && (r.Header.Get("x-ms-tags") != "" || op.copiesTags(r)):
		return blobs + "tags/write"
	case op.level == ofContainer && op.comp == "list" && slices.Contains(Include(q), "tags"):
		return blobs + "tags/read"
	}
	return ""
}

// copiesTags says whether a request copies the tags of its source, which wants permission to
// read them there and to set them here (REST reference, Copy Blob From URL,
// x-ms-copy-source-tag-option).
func (op operation) copiesTags(r *http.Request) bool {
	return op.comp == "" && slices.Contains(op.headers, "x-ms-copy-source") && r.Header.Get("x-ms-copy-source-tag-option") == "COPY"
}

// Include is what the parameter include of a listing asks for.
func Include(q url.Values) []string {
	var all []string
	for _, value := range q["include"] {
		for what := range strings.SplitSeq(strings.ToLower(value), ",") {
			all = append(all, strings.TrimSpace(what))
		}
	}
	return all
}

// actions are what the caller needs.
func (op operation) actions() [][]roles.Action {
	var all [][]roles.Action
	for _, entry := range op.needs {
		var needed []roles.Action
		for _, name := range strings.Fields(entry + " " + op.tags) {
			needed = append(needed, action(name))
		}
		all = append(all, needed)
	}
	return all
}

// action returns an action of the table. Those on what is in containers, queues and tables
// are data actions of roles; those on containers and the like themselves are not (Azure's
// built-in roles for storage have them so).
func action(name string) roles.Action {
	full := "Microsoft.Storage/storageAccounts/" + name
	for _, data := range []string{blobs, messages, entities} {
		if strings.HasPrefix(name, data) {
			return roles.Data(full)
		}
	}
	return roles.Control(full)
}

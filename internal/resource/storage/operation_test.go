package storage

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/roles"
)

func requestFor(method, target string, headers ...string) *http.Request {
	r := &http.Request{Method: method, RequestURI: target, Header: http.Header{}}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, "=")
		r.Header.Set(name, cmp.Or(value, "x"))
	}
	return r
}

// Operations are told by method, path and parameters, as the REST reference has them.
func TestOperations(t *testing.T) {
	for _, row := range []struct {
		service Service
		request string
		headers []string
		name    string
		needs   string
	}{
		{Blob, "GET /?comp=list", nil, "List Containers", "containers/read"},
		{Blob, "GET /?restype=service&comp=properties", nil, "Get Blob Service Properties", "blobServices/read"},
		{Blob, "GET /inbox/a?restype=account&comp=properties", nil, "Get Account Information", "getInfo/action"},
		{Blob, "HEAD /inbox?restype=account&comp=properties", nil, "Get Account Information", "getInfo/action"},
		{Blob, "POST /?restype=service&comp=userdelegationkey", nil, "Get User Delegation Key", "generateUserDelegationKey/action"},
		{Blob, "PUT /inbox?restype=container", nil, "Create Container", "containers/write"},
		{Blob, "HEAD /inbox?restype=container", nil, "Get Container Properties", "containers/read"},
		{Blob, "DELETE /inbox?restype=container", nil, "Delete Container", "containers/delete"},
		{Blob, "GET /inbox?restype=container&comp=list&prefix=a", nil, "List Blobs", "data containers/blobs/read"},
		{Blob, "GET /inbox?restype=container&comp=list&include=metadata,tags", nil, "List Blobs", "data containers/blobs/read and data containers/blobs/tags/read"},
		{Blob, "GET /inbox?restype=container&comp=list&include=metadata&include=%20Tags", nil, "List Blobs", "data containers/blobs/read and data containers/blobs/tags/read"},
		{Blob, "POST /inbox?restype=container&comp=batch", nil, "Blob Batch", ""},
		{Blob, "POST /?comp=batch", nil, "Blob Batch", ""},
		{Blob, "GET /inbox/a", nil, "Get Blob", "data containers/blobs/read"},
		{Blob, "HEAD /inbox/a", nil, "Get Blob Properties", "data containers/blobs/read"},
		{Blob, "GET /a.txt", nil, "Get Blob", "data containers/blobs/read"},
		{Blob, "PUT /inbox/a", nil, "Put Blob", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-tags"}, "Put Blob", "data containers/blobs/write and data containers/blobs/tags/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source"}, "Copy Blob", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source", "x-ms-blob-type"}, "Put Blob From URL", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source", "x-ms-requires-sync"}, "Copy Blob From URL", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source", "x-ms-blob-type", "x-ms-copy-source-tag-option=COPY"}, "Put Blob From URL", "data containers/blobs/write and data containers/blobs/tags/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source", "x-ms-requires-sync", "x-ms-copy-source-tag-option=COPY"}, "Copy Blob From URL", "data containers/blobs/write and data containers/blobs/tags/write"},
		{Blob, "PUT /inbox/a", []string{"x-ms-copy-source", "x-ms-requires-sync", "x-ms-copy-source-tag-option=REPLACE"}, "Copy Blob From URL", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a?comp=block&blockid=AA", nil, "Put Block", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a?comp=block&blockid=AA", []string{"x-ms-copy-source"}, "Put Block From URL", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a?comp=blocklist", nil, "Put Block List", "data containers/blobs/write"},
		{Blob, "PUT /inbox/a?comp=appendblock", nil, "Append Block", "data containers/blobs/write or data containers/blobs/add/action"},
		{Blob, "DELETE /inbox/a", nil, "Delete Blob", "data containers/blobs/delete"},
		{Blob, "DELETE /inbox/a?versionid=1", nil, "Delete Blob Version", "data containers/blobs/deleteBlobVersion/action"},
		{Blob, "DELETE /inbox/a?deletetype=Permanent", nil, "Delete Blob Permanently", "data containers/blobs/permanentDelete/action"},
		{Blob, "DELETE /inbox/a?deletetype=none", nil, "Delete Blob Permanently", "data containers/blobs/permanentDelete/action"},
		{Blob, "GET /inbox/a?comp=tags", nil, "Get Blob Tags", "data containers/blobs/tags/read"},
		{Blob, "OPTIONS /inbox/a", nil, "Preflight Blob Request", ""},
		{Queue, "GET /?comp=list", nil, "List Queues", "queueServices/queues/read"},
		{Queue, "PUT /jobs", nil, "Create Queue", "queueServices/queues/write"},
		{Queue, "POST /jobs/messages?visibilitytimeout=1", nil, "Put Message", "data queueServices/queues/messages/add/action or data queueServices/queues/messages/write"},
		{Queue, "GET /jobs/messages?numofmessages=32", nil, "Get Messages", "data queueServices/queues/messages/process/action or data queueServices/queues/messages/delete and data queueServices/queues/messages/read"},
		{Queue, "GET /jobs/messages?peekonly=true", nil, "Peek Messages", "data queueServices/queues/messages/read"},
		{Queue, "GET /jobs/messages?peekonly=TRUE", nil, "Get Messages", "data queueServices/queues/messages/process/action or data queueServices/queues/messages/delete and data queueServices/queues/messages/read"},
		{Queue, "PUT /jobs/messages/1?popreceipt=a&visibilitytimeout=1", nil, "Update Message", "data queueServices/queues/messages/write"},
		{Queue, "DELETE /jobs/messages/1?popreceipt=a", nil, "Delete Message", "data queueServices/queues/messages/process/action or data queueServices/queues/messages/delete"},
		{Queue, "DELETE /jobs/messages", nil, "Clear Messages", "data queueServices/queues/messages/delete"},
		{Queue, "DELETE /jobs/messages?popreceipt=a", nil, "Clear Messages", "data queueServices/queues/messages/delete"},
		{Queue, "DELETE /jobs/messages/?popreceipt=a", nil, "Clear Messages", "data queueServices/queues/messages/delete"},
		{Queue, "DELETE /jobs/messages/1", nil, "Delete Message", "data queueServices/queues/messages/process/action or data queueServices/queues/messages/delete"},
		{Queue, "GET /jobs/messages/1", nil, "unknown", "[PUT DELETE]"},
		{Table, "GET /Tables", nil, "Query Tables", "tableServices/tables/read"},
		{Table, "DELETE /Tables('people')", nil, "Delete Table", "tableServices/tables/delete"},
		{Table, "GET /people()?$filter=a%20eq%201", nil, "Query Entities", "data tableServices/tables/entities/read"},
		{Table, "PUT /people(PartitionKey='p',RowKey='r')", nil, "Update Entity", "data tableServices/tables/entities/write or data tableServices/tables/entities/add/action and data tableServices/tables/entities/update/action"},
		{Table, "POST /$batch", nil, "Entity Group Transaction", "data tableServices/tables/entities/write"},
		{Blob, "GET /inbox/a?comp=nothing", nil, "unknown", "[]"},
		{Blob, "PATCH /inbox/a", nil, "unknown", "[PUT HEAD GET DELETE]"},
		{Queue, "GET /jobs", nil, "unknown", "[PUT DELETE]"},
	} {
		t.Run(row.request, func(t *testing.T) {
			method, uri, _ := strings.Cut(row.request, " ")
			r := requestFor(method, uri, row.headers...)
			target, q := parse("orders", row.service, uri)
			op, known, methods := find(r, target, q)
			if !known {
				if row.name != "unknown" || fmt.Sprint(methods) != row.needs {
					t.Errorf("expected %s %s, found none, but %v", row.name, row.needs, methods)
				}
				return
			}
			var needs []string
			for _, all := range op.actions() {
				var names []string
				for _, a := range all {
					name := strings.TrimPrefix(strings.TrimPrefix(a.Name, "Microsoft.Storage/storageAccounts/"), "blobServices/")
					if strings.Contains(row.needs, "blobServices/") {
						name = strings.TrimPrefix(a.Name, "Microsoft.Storage/storageAccounts/")
					}
					if a.Data {
						name = "data " + name
					}
					names = append(names, name)
				}
				needs = append(needs, strings.Join(names, " and "))
			}
			if op.name != row.name || strings.Join(needs, " or ") != row.needs {
				t.Errorf("expected %s %s, found %s %s", row.name, row.needs, op.name, strings.Join(needs, " or "))
			}
		})
	}
}

// Each action that the table asks for is one that a built-in role has, or that none has on
// purpose.
func TestActionsAreThoseOfRoles(t *testing.T) {
	nobody := []string{"Microsoft.Storage/storageAccounts/blobServices/getInfo/action"}
	for _, op := range operations {
		for _, all := range op.actions() {
			for _, a := range all {
				held := slices.ContainsFunc(roles.Builtin(), func(d roles.Definition) bool {
					return strings.HasPrefix(d.Name, "Storage") && d.Permits(a)
				})
				if !held && !slices.Contains(nobody, a.Name) {
					t.Errorf("%s needs %+v, which no role for storage has", op.name, a)
				}
			}
		}
	}
}

// Names are taken from what was sent: in their own case, with doubled slashes, unescaped.
func TestTargets(t *testing.T) {
	for _, row := range []struct {
		service   Service
		uri       string
		container string
		name      string
	}{
		{Blob, "/inbox/Dir//A%2Fb%20c%25d%3Fe+f?x=1", "inbox", "Dir//A/b c%d?e+f"},
		{Blob, "/inbox/%C3%BC", "inbox", "ü"},
		{Blob, "/inbox/..%2F..", "inbox", "../.."},
		{Blob, "/inbox/../x", "inbox", "../x"},
		{Blob, "/inbox//", "inbox", "/"},
		{Blob, "/inbox/a%zz", "inbox", "a%zz"},
		{Blob, "/inbox?restype=container", "inbox", ""},
		{Blob, "/hello.txt", "$root", "hello.txt"},
		{Blob, "/$root/hello.txt", "$root", "hello.txt"},
		{Blob, "/?comp=list", "", ""},
		{Blob, "https://orders.blob.core.windows.net/inbox/A?x=/y", "inbox", "A"},
		{Queue, "/jobs/messages/1%2B", "jobs", "messages/1+"},
		{Table, "/people(PartitionKey='p',RowKey='r%2Fs')", "people", ""},
	} {
		target, _ := parse("orders", row.service, row.uri)
		if target.Container != row.container || target.Name != row.name {
			t.Errorf("%s: expected %q %q, found %q %q", row.uri, row.container, row.name, target.Container, target.Name)
		}
	}
}

func TestWithoutSAS(t *testing.T) {
	for given, expected := range map[string]string{
		"/a?sv=1&sig=x": "/a",
		"/a":            "/a",
		"/a?":           "/a?",
		"/a?comp=block&sv=1&sp=r&blockid=AA%3D%3D&sig=%2B": "/a?comp=block&blockid=AA%3D%3D",
		"/a?rscc=no&sig=x":     "/a?rscc=no",
		"https://x/a?sr=b&z=%": "https://x/a?z=%",
	} {
		if found := withoutSAS(given); found != expected {
			t.Errorf("%s: expected %s, found %s", given, expected, found)
		}
	}
}

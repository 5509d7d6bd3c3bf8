package issuer

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// What azwi does with the service account of a workload: create, or else update, read and delete.
// controller-runtime sends protobuf, kubectl create -f sends JSON.
func TestServiceAccountsAreWritten(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	const shop = "/api/v1/namespaces/shop/serviceaccounts"
	written := func(annotations string) string {
		return `{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "annotations": {` + annotations + `}}}`
	}
	for _, row := range []struct {
		name, method, path, media, body string
		code                            int
		want                            string
	}{
		{"updated before it exists", "PUT", shop + "/web", mediaJSON, written(""), 404, `serviceaccounts \"web\" not found`},
		{"deleted before it exists", "DELETE", shop + "/web", mediaJSON, "", 404, `serviceaccounts \"web\" not found`},
		{"as protobuf", "POST", shop, mediaProtobuf, protobufAccount("web", "shop", "azure.workload.identity/client-id", "id", "azure.workload.identity/tenant-id", "tenant"), 201, `{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","uid":"`},
		{"with all annotations", "GET", shop + "/web", mediaJSON, "", 200, `"annotations":{"azure.workload.identity/client-id":"id","azure.workload.identity/tenant-id":"tenant"}`},
		{"in its namespace", "GET", "/api/v1/namespaces/shop", mediaJSON, "", 200, `"phase":"Active"`},
		{"twice", "POST", shop, mediaProtobuf, protobufAccount("web", "shop"), 409, `"message":"serviceaccounts \"web\" already exists","reason":"AlreadyExists","details":{"name":"web","kind":"serviceaccounts"},"code":409}`},
		{"updated", "PUT", shop + "/web", mediaJSON, written(`"a": "b"`), 200, `"annotations":{"a":"b"}`},
		{"with a token", "POST", shop + "/web/token", mediaJSON, `{}`, 201, `"token":"`},
		{"of another namespace", "POST", shop, mediaProtobuf, protobufAccount("web", "other"), 400, "the namespace of the provided object does not match the namespace sent on the request"},
		{"of another name", "PUT", shop + "/api", mediaJSON, written(""), 400, "the name of the object (web) does not match the name on the URL (api)"},
		{"without a name", "POST", shop, mediaJSON, `{}`, 422, `ServiceAccount \"\" is invalid: metadata.name: Invalid value: \"\": name or generateName is required`},
		{"with a name that is none", "POST", shop, mediaJSON, `{"metadata": {"name": "A"}}`, 422, `ServiceAccount \"A\" is invalid: metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of`},
		{"in a namespace that cannot be", "POST", "/api/v1/namespaces/A/serviceaccounts", mediaJSON, written(""), 404, `namespaces \"A\" not found`},
		{"of another kind", "POST", shop, mediaJSON, `{"apiVersion": "v1", "kind": "Secret"}`, 400, `Secret in version \"v1\" cannot be handled as a ServiceAccount`},
		{"only tried", "POST", shop + "?dryRun=All", mediaJSON, `{"metadata": {"name": "api"}}`, 400, "dryRun is not emulated"},
		{"only tried to delete", "DELETE", shop + "/web?dryRun=All", mediaJSON, "", 400, "dryRun is not emulated"},
		{"deleted", "DELETE", shop + "/web", mediaJSON, `{"propagationPolicy": "Background"}`, 200, `"kind":"ServiceAccount"`},
		{"gone", "GET", shop + "/web", mediaJSON, "", 404, `serviceaccounts \"web\" not found`},
		{"without a token", "POST", shop + "/web/token", mediaJSON, `{}`, 404, `serviceaccounts \"web\" not found`},
	} {
		got := call(t, c.Cluster(admin), row.method, row.path, row.body, "Content-Type", row.media)
		if got.Code != row.code || !strings.Contains(got.Body.String(), row.want) {
			t.Errorf("%s: %d %s\nwant %d %s", row.name, got.Code, got.Body, row.code, row.want)
		}
	}
	if got := call(t, c.Cluster("another"), http.MethodPost, shop, written("")); got.Code != http.StatusUnauthorized || len(c.ServiceAccounts()) != 1 {
		t.Errorf("by anybody: %d, and there are %v", got.Code, c.ServiceAccounts())
	}
}

// protobufAccount is a service account as client-go writes it, with annotations.
func protobufAccount(name, namespace string, annotations ...string) string {
	field := func(to []byte, number protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), value)
	}
	meta := field(field(nil, 1, name), 3, namespace)
	for i := 0; i < len(annotations); i += 2 {
		meta = field(meta, 12, string(field(field(nil, 1, annotations[i]), 2, annotations[i+1])))
	}
	of := string(field(field(nil, 1, "v1"), 2, "ServiceAccount"))
	return string(protobufMagic) + string(field(field(nil, 1, of), 2, string(field(nil, 1, string(meta)))))
}

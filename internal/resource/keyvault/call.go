package keyvault

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// operation is something that a vault is asked for. Here, and nowhere else, is said which
// permission it needs: by its name in access policies, within its kind, and by the data
// action of roles.
type operation struct {
	method, path string // the path in lower case, without a trailing slash
	verb         string // for people
	kind         string // secrets, keys or certificates
	permission   string // of the kind's access policy
	action       string // the data action, below Microsoft.KeyVault/vaults/
	serve        handler
}

type handler func(*call) (status int, body any, failed *resource.Failure)

// reading is an operation during which the vault stays as it is.
func reading(serve handler) handler {
	return func(c *call) (int, any, *resource.Failure) {
		c.vault.mu.RLock()
		defer c.vault.mu.RUnlock()
		return serve(c)
	}
}

// writing is an operation during which the vault is locked.
func writing(serve handler) handler {
	return func(c *call) (int, any, *resource.Failure) {
		c.vault.mu.Lock()
		defer c.vault.mu.Unlock()
		return serve(c)
	}
}

// operations lists what is served. The permissions are those that Key Vault's
// REST reference names for each operation, the data actions those of the resource
// provider's operations. Of paths that fit several, the first counts.
func operations() []operation {
	return slices.Concat(secretOperations(), keyOperations(), certificateOperations())
}

func secretOperations() []operation {
	const kind = "secrets"
	s := secrets()
	return []operation{
		{"GET", "/secrets", "list secrets", kind, "list", "secrets/readMetadata/action", reading(s.list)},
		{"PUT", "/secrets/{name}", "set secret", kind, "set", "secrets/setSecret/action", changing((*call).set)},
		{"GET", "/secrets/{name}", "get secret", kind, "get", "secrets/getSecret/action", reading((*call).get)},
		{"PATCH", "/secrets/{name}", "update secret", kind, "set", "secrets/update/action", changing((*call).update)},
		{"DELETE", "/secrets/{name}", "delete secret", kind, "delete", "secrets/delete", writing(s.delete)},
		{"GET", "/secrets/{name}/versions", "list versions of secret", kind, "list", "secrets/readMetadata/action", reading(s.versions)},
		{"GET", "/secrets/{name}/{version}", "get secret", kind, "get", "secrets/getSecret/action", reading((*call).get)},
		{"PATCH", "/secrets/{name}/{version}", "update secret", kind, "set", "secrets/update/action", changing((*call).update)},
		{"GET", "/deletedsecrets", "list deleted secrets", kind, "list", "secrets/readMetadata/action", reading(s.listDeleted)},
		{"GET", "/deletedsecrets/{name}", "get deleted secret", kind, "get", "secrets/readMetadata/action", reading((*call).getDeletedSecret)},
		{"DELETE", "/deletedsecrets/{name}", "purge secret", kind, "purge", "secrets/purge/action", writing(s.purge)},
		{"POST", "/deletedsecrets/{name}/recover", "recover secret", kind, "recover", "secrets/recover/action", writing(s.recover)},
	}
}

func keyOperations() []operation {
	const kind = "keys"
	k := keys()
	all := []operation{
		{"GET", "/keys", "list keys", kind, "list", "keys/read", reading(k.list)},
		{"POST", "/keys/restore", "restore key", kind, "restore", "keys/restore/action", taking((*call).restoreKey)},
		{"POST", "/keys/{name}/create", "create key", kind, "create", "keys/create/action", taking((*call).createKey)},
		{"POST", "/keys/{name}/rotate", "rotate key", kind, "rotate", "keys/rotate/action", (*call).rotateKey},
		{"POST", "/keys/{name}/backup", "back up key", kind, "backup", "keys/backup/action", reading((*call).backupKey)},
		{"GET", "/keys/{name}/rotationpolicy", "get rotation policy of key", kind, "getrotationpolicy", "keyrotationpolicies/read", k.show((*call).rotationPolicy)},
		{"PUT", "/keys/{name}/rotationpolicy", "set rotation policy of key", kind, "setrotationpolicy", "keyrotationpolicies/write", changing((*call).setRotationPolicy)},
		{"PUT", "/keys/{name}", "import key", kind, "import", "keys/import/action", taking((*call).importKey)},
		{"GET", "/keys/{name}", "get key", kind, "get", "keys/read", k.get},
		{"PATCH", "/keys/{name}", "update key", kind, "update", "keys/update/action", changing((*call).updateKey)},
		{"DELETE", "/keys/{name}", "delete key", kind, "delete", "keys/delete", writing(k.delete)},
		{"GET", "/keys/{name}/versions", "list versions of key", kind, "list", "keys/read", reading(k.versions)},
		{"GET", "/keys/{name}/{version}", "get key", kind, "get", "keys/read", k.get},
		{"PATCH", "/keys/{name}/{version}", "update key", kind, "update", "keys/update/action", changing((*call).updateKey)},
		{"GET", "/deletedkeys", "list deleted keys", kind, "list", "keys/read", reading(k.listDeleted)},
		{"GET", "/deletedkeys/{name}", "get deleted key", kind, "get", "keys/read", reading(k.getDeleted)},
		{"DELETE", "/deletedkeys/{name}", "purge key", kind, "purge", "keys/purge/action", writing(k.purge)},
		{"POST", "/deletedkeys/{name}/recover", "recover key", kind, "recover", "keys/recover/action", writing(k.recover)},
	}
	for _, use := range []struct {
		path, verb, permission, action string
		serve                          handler
	}{
		{"encrypt", "encrypt with key", "encrypt", "encrypt", using((*call).encrypt, "value")},
		{"decrypt", "decrypt with key", "decrypt", "decrypt", using((*call).decrypt, "value")},
		{"wrapkey", "wrap with key", "wrapKey", "wrap", using((*call).encrypt, "value")},
		{"unwrapkey", "unwrap with key", "unwrapKey", "unwrap", using((*call).decrypt, "value")},
		{"sign", "sign with key", "sign", "sign", using((*call).sign, "value")},
		{"verify", "verify with key", "verify", "verify", using((*call).verify, "digest", "value")},
		{"release", "release key", "release", "release", (*call).releaseKey},
	} {
		// Clients of the latest version leave the version's segment empty.
		for _, path := range []string{"/keys/{name}/" + use.path, "/keys/{name}/{version}/" + use.path} {
			all = append(all, operation{"POST", path, use.verb, kind, use.permission, "keys/" + use.action + "/action", use.serve})
		}
	}
	return all
}

func certificateOperations() []operation {
	const kind = "certificates"
	c := certificates()
	return []operation{
		{"GET", "/certificates", "list certificates", kind, "list", "certificates/read", reading(c.list)},
		{"PUT", "/certificates/contacts", "set contacts", kind, "managecontacts", "certificatecontacts/write", changing((*call).setContacts)},
		{"GET", "/certificates/contacts", "get contacts", kind, "managecontacts", "certificates/read", reading((*call).getContacts)},
		{"DELETE", "/certificates/contacts", "delete contacts", kind, "managecontacts", "certificatecontacts/write", writing((*call).deleteContacts)},
		{"GET", "/certificates/issuers", "list issuers", kind, "listissuers", "certificatecas/read", (*call).listIssuers},
		{"GET", "/certificates/issuers/{name}", "get issuer", kind, "getissuers", "certificatecas/read", (*call).otherIssuers},
		{"PUT", "/certificates/issuers/{name}", "set issuer", kind, "setissuers", "certificatecas/write", (*call).otherIssuers},
		{"PATCH", "/certificates/issuers/{name}", "update issuer", kind, "setissuers", "certificatecas/write", (*call).otherIssuers},
		{"DELETE", "/certificates/issuers/{name}", "delete issuer", kind, "deleteissuers", "certificatecas/delete", (*call).otherIssuers},
		{"POST", "/certificates/{name}/create", "create certificate", kind, "create", "certificates/create/action", taking((*call).createCertificate)},
		{"POST", "/certificates/{name}/import", "import certificate", kind, "import", "certificates/import/action", taking((*call).importCertificate)},
		{"GET", "/certificates/{name}/policy", "get policy of certificate", kind, "get", "certificates/read", c.show((*call).policy)},
		{"PATCH", "/certificates/{name}/policy", "update policy of certificate", kind, "update", "certificates/update/action", changing((*call).updatePolicy)},
		{"GET", "/certificates/{name}/pending", "get operation of certificate", kind, "get", "certificates/read", reading((*call).getPending)},
		{"PATCH", "/certificates/{name}/pending", "cancel operation of certificate", kind, "update", "certificates/update/action", reading((*call).getPending)}, // which is complete, as all are here
		{"DELETE", "/certificates/{name}/pending", "delete operation of certificate", kind, "delete", "certificates/delete", writing((*call).deletePending)},
		{"GET", "/certificates/{name}", "get certificate", kind, "get", "certificates/read", c.get},
		{"PATCH", "/certificates/{name}", "update certificate", kind, "update", "certificates/update/action", changing((*call).updateCertificate)},
		{"DELETE", "/certificates/{name}", "delete certificate", kind, "delete", "certificates/delete", writing(c.delete)},
		{"GET", "/certificates/{name}/versions", "list versions of certificate", kind, "list", "certificates/read", reading(c.versions)},
		{"GET", "/certificates/{name}/{version}", "get certificate", kind, "get", "certificates/read", c.get},
		{"PATCH", "/certificates/{name}/{version}", "update certificate", kind, "update", "certificates/update/action", changing((*call).updateCertificate)},
		{"GET", "/deletedcertificates", "list deleted certificates", kind, "list", "certificates/read", reading(c.listDeleted)},
		{"GET", "/deletedcertificates/{name}", "get deleted certificate", kind, "get", "certificates/read", reading(c.getDeleted)},
		{"DELETE", "/deletedcertificates/{name}", "purge certificate", kind, "purge", "certificates/purge/action", writing(c.purge)},
		{"POST", "/deletedcertificates/{name}/recover", "recover certificate", kind, "recover", "certificates/recover/action", writing(c.recover)},
	}
}

type call struct {
	*resource.Call
	service *Service
	op      operation
	vault   *vault   // nil if there is none of that name
	host    string   // what the client named instead
	tenant  string   // of the vault
	access  []Access // of the vault
	model   bool     // access policies of the vault decide, rather than roles
	vaultID string   // its resource id
	name    string   // of the secret, key or certificate, as the client spelt it
	id      string   // of the version; "" for the latest
	now     time.Time

	algorithm string // that a key is used with
	location  string // of an operation that was begun; "" for none
}

func (s *Service) begin(op operation) func(*resource.Call) resource.Request {
	return func(base *resource.Call) resource.Request {
		c := &call{Call: base, service: s, op: op, now: s.kit.Clock.Now()}
		if c.host, c.vault = s.find(base.Host); c.vault == nil {
			return c
		}
		c.vault.mu.RLock()
		c.tenant, c.access, c.model, c.vaultID = c.vault.tenant, c.vault.access, c.vault.model, c.vault.id
		c.vault.mu.RUnlock()
		if base.Vars["name"] != "" {
			c.name = httppath.Segment(base.Request, 1)
			if base.Vars["version"] != "" {
				c.id = httppath.Segment(base.Request, 2)
			}
		}
		return c
	}
}

func (c *call) Demand() (*resource.Want, *resource.Failure) {
	if c.vault == nil {
		c.Check("vault", "a configured vault", c.host, false)
		return nil, noSuchVault(c.host, c.service.kit.Cloud().Vault, c.service.nearest(c.host))
	}
	return c.service.kit.Want(c.tenant), nil
}

// Allow implements resource.Access: the first check that fails is what the client is told.
func (c *call) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return c.unauthorized(refused)
	}
	for _, look := range []func() *resource.Failure{c.apiVersion, c.objectName, c.permission} {
		if failed := look(); failed != nil {
			return failed
		}
	}
	return nil
}

func (c *call) Serve() (resource.Answer, *resource.Failure) {
	c.service.keepUp(c.vault, c.now)
	status, body, failed := c.op.serve(c)
	return resource.Answer{Status: status, Body: body}, failed
}

func (c *call) Describe(e *journal.Event) (action string) {
	e.Component = c.host
	if c.vault != nil {
		e.Component = c.vault.name
	}
	e.Resource = "key vault " + e.Component
	if c.op.action != "" {
		e.Detail["action"] = c.op.dataAction()
	}
	if c.name != "" {
		e.Detail[cmp.Or(c.op.singular(), "secret")] = c.name
	}
	if c.algorithm != "" {
		e.Detail["algorithm"] = c.algorithm
	}
	return strings.TrimSpace(cmp.Or(c.op.verb, e.Method+" "+e.Path) + " " + c.name)
}

// apiVersion lets every version pass that has the form of one: a client that is
// newer than this code must not be turned away.
func (c *call) apiVersion() *resource.Failure {
	version := c.Request.URL.Query().Get("api-version")
	ok := validVersion(version)
	c.Check("api-version", "7.x or a date like 2025-07-01", version, ok)
	switch {
	case ok:
		return nil
	case version == "":
		return badParameter("api-version must be specified")
	default:
		return badParameter("The specified version (%s) is not recognized. Consider using the latest supported version.", version)
	}
}

// validVersion accepts 7.6, 2025-07-01, and both followed by -preview or
// -preview.1.
func validVersion(v string) bool {
	base, preview, _ := strings.Cut(v, "-preview")
	if len(v) > 32 || preview != "" && !isNumber(strings.TrimPrefix(preview, ".")) {
		return false
	}
	if _, err := time.Parse(time.DateOnly, base); err == nil {
		return true
	}
	major, minor, _ := strings.Cut(base, ".")
	return isNumber(major) && isNumber(minor)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (c *call) objectName() *resource.Failure {
	if c.name == "" || ValidSecretName(c.name) {
		return nil
	}
	c.Check(c.op.singular()+" name", "1 to 127 letters, digits and hyphens", c.name, false)
	return badParameter("The request URI contains an invalid name: %s", c.name)
}

func (op operation) dataAction() string { return "Microsoft.KeyVault/vaults/" + op.action }

// singular is what one of the operation's kind is called.
func (op operation) singular() string { return strings.TrimSuffix(op.kind, "s") }

func (c *call) unknown() (int, any, *resource.Failure) {
	path := strings.Trim(c.Request.URL.Path, "/")
	first, _, _ := strings.Cut(path, "/")
	switch {
	case first == "storage", first == "deletedstorage", first == "certificates" && strings.HasSuffix(path, "/merge"),
		(first == "secrets" || first == "certificates") && (strings.HasSuffix(path, "/backup") || strings.HasSuffix(path, "s/restore")):
		return 0, nil, notServed(c.Request.URL.Path)
	case path == "rng", first == "keys" && strings.HasSuffix(path, "/attestation"):
		return 0, nil, managedHSMOnly(path[strings.LastIndex(path, "/")+1:])
	default:
		return 0, nil, badParameter("Method %s does not allow operation '%s'", c.Request.Method, path[strings.LastIndex(path, "/")+1:])
	}
}

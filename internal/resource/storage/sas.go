package storage

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
)

// sasParameters are those of a SAS. They end here; those that override headers of the answer
// (rscc and its like) are the backend's.
var sasParameters = []string{
	"sv", "ss", "srt", "sr", "sp", "st", "se", "sip", "spr", "si", "sig", "ses", "sdd", "skoid", "sktid", "skt", "ske", "sks", "skv",
	"saoid", "suoid", "scid", "skdutid", "sduoid", "srh", "srq",
}

// withoutSAS returns a URL or request target without the parameters of a SAS. What else is
// in it stays as it was sent.
func withoutSAS(target string) string {
	path, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(sasParameters, name)
	})
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

// keyOf are the fields of the user delegation key that a SAS is signed with.
func keyOf(q url.Values) delegationKey {
	return delegationKey{
		ObjectID: q.Get("skoid"), Tenant: q.Get("sktid"), Start: q.Get("skt"), Expiry: q.Get("ske"), Service: q.Get("sks"), Version: q.Get("skv"), DelegatedTenant: q.Get("skdutid"),
	}
}

// owner is whom a user delegation key was given to, as far as the directory knows: a SAS has
// the object id alone.
func (c *call) owner(k delegationKey) resource.Caller {
	owner := resource.Caller{Tenant: strings.ToLower(k.Tenant), ObjectID: strings.ToLower(k.ObjectID)}
	if p, ok := c.accounts.kit.Directory.PrincipalByObjectID(owner.Tenant, owner.ObjectID); ok {
		owner.ClientID, owner.Name = p.ClientID, p.DisplayName
	}
	return owner
}

// wantedWithSAS is what the token has to be that a SAS for one user wants besides; nil for
// every other SAS. Source: Create a user delegation SAS, "sduoid".
func (c *call) wantedWithSAS() *resource.Want {
	if c.query.Get("sduoid") == "" {
		return nil
	}
	want := c.want(c.account, c.target.Service)
	if tenant := c.query.Get("skdutid"); tenant != "" {
		want.Tenant = strings.ToLower(tenant)
	}
	return want
}

// signed checks a user delegation SAS: its signature, when it is valid, what it is for, and
// then the roles of its key's owner. It becomes the caller.
func (c *call) signed(t Target, q url.Values, op operation) *refusal {
	k := keyOf(q)
	user := c.Caller // of the token, if one was wanted
	c.Caller = c.owner(k)
	for _, look := range []func() *refusal{
		func() *refusal { return c.sasComplete(t, q) },
		func() *refusal { return c.sasSignature(t, q, k) },
		func() *refusal { return c.sasUser(user, q) },
		func() *refusal { return c.sasTime("user delegation key", k.Start, k.Expiry) },
		func() *refusal { return c.sasTime("SAS", q.Get("st"), q.Get("se")) },
		func() *refusal { return c.sasPermission(q, op) },
	} {
		if r := look(); r != nil {
			return r
		}
	}
	return nil
}

// sasComplete checks that there is what every user delegation SAS has. Seen:
// Azure/azure-cli#10935 and azure-storage-azcopy#122 (se); others write of the same text for
// sr and sp. Inferred: that it comes before the signature.
func (c *call) sasComplete(t Target, q url.Values) *refusal {
	names := []string{"se", "sp"}
	if t.Service == Blob {
		names = append(names, "sr")
	}
	for _, name := range names {
		if q.Get(name) != "" {
			continue
		}
		c.Check("SAS parameter "+name, "a value", "none", false)
		return badSignature(name+" is mandatory. Cannot be empty", "The SAS has no "+name+": "+sasMandatory[name]+".", "Make the SAS with it; check that the & between parameters survive on their way, such as in a shell.")
	}
	return nil
}

var sasMandatory = map[string]string{"se": "when it ends", "sp": "what it permits", "sr": "what kind of resource it is for"}

// malformed says which parameters of a SAS no client would write like that; "" if none.
// Source: Create a user delegation SAS.
func malformed(q url.Values) string {
	var all []string
	add := func(name, expected string, ok bool) {
		if value := q.Get(name); value != "" && !ok {
			all = append(all, fmt.Sprintf("%s is %q and not %s", name, value, expected))
		}
	}
	for _, name := range []string{"st", "se", "skt", "ske"} {
		add(name, "a time such as 2026-11-23T10:04:05Z", !parseTime(q.Get(name)).IsZero())
	}
	for _, name := range []string{"sv", "skv"} {
		_, err := time.Parse(time.DateOnly, q.Get(name))
		add(name, "a version such as "+bearerVersion, err == nil)
	}
	for _, name := range []string{"skoid", "sktid"} {
		add(name, "a UUID", uuid.Validate(q.Get(name)) == nil)
	}
	add("sr", "b, c, d, bs or bv", slices.Contains([]string{"b", "c", "d", "bs", "bv"}, q.Get("sr")))
	from, to, isRange := strings.Cut(q.Get("sip"), "-")
	add("sip", "an IP address or a range of them", net.ParseIP(from) != nil && (!isRange || net.ParseIP(to) != nil))
	return strings.Join(all, "; ")
}

func (c *call) sasSignature(t Target, q url.Values, k delegationKey) *refusal {
	text := stringToSign(q, t, c.Request.Header)
	mac := hmac.New(sha256.New, k.value(t.Account))
	mac.Write([]byte(text))
	expected := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	same := hmac.Equal([]byte(expected), []byte(q.Get("sig")))
	if c.Check("SAS signature", "made with the user delegation key of "+who(c.Caller), map[bool]string{true: "it is", false: "another one"}[same], same) {
		return nil
	}
	meaning := "The SAS was changed, is for another account, container or blob, or was signed with a key that this account did not give out."
	if odd := malformed(q); odd != "" {
		meaning = "The SAS was changed or is no SAS: " + odd + "."
	}
	// The text is documented: "Troubleshoot … Signature did not match".
	return badSignature("Signature did not match. String to sign used was "+text, meaning,
		"Compare the string to sign with the client's, line by line; ask for a new user delegation key.")
}

func (c *call) sasUser(user resource.Caller, q url.Values) *refusal {
	wanted := q.Get("sduoid")
	if wanted == "" || c.Check("user of the SAS", wanted, cmp.Or(user.ObjectID, "none"), strings.EqualFold(wanted, user.ObjectID)) {
		return nil
	}
	return badSignature("The token is not of the user that the SAS is for.", "The SAS is for one user (sduoid), and the token is another one's.", "Send the SAS with a token of that user.")
}

// sasTime checks a validity. Seen: microsoft/AzureStorageExplorer#3163.
func (c *call) sasTime(what, start, expiry string) *refusal {
	from, to := parseTime(start), parseTime(expiry)
	start = cmp.Or(start, "ever")
	ok := !c.now.Before(from) && c.now.Before(to)
	if c.Check(what+" valid", "lab time "+c.now.UTC().Format(time.RFC3339), start+" to "+cmp.Or(expiry, "none"), ok) {
		return nil
	}
	return badSignature(fmt.Sprintf("Signature not valid in the specified time frame: Start [%s] - Expiry [%s] - Current [%s]", rfc1123(from), rfc1123(to), rfc1123(c.now)),
		"The "+what+" is not valid now, on the lab clock.", "Make a new SAS, with a user delegation key that lives as long as it. Both end with the key.")
}

// sasPermission checks what a SAS is for. One of a blob does nothing with a container.
func (c *call) sasPermission(q url.Values, op operation) *refusal {
	// Queues have SAS of queues alone, which name no resource (sr).
	fits := op.level >= ofItem || op.level == ofContainer && (q.Get("sr") == "c" || op.service == Queue)
	allowed := fits && strings.ContainsAny(q.Get("sp"), op.sas)
	expected := "one of " + strings.Join(strings.Split(op.sas, ""), ", ")
	if op.tags != "" {
		allowed = allowed && strings.Contains(q.Get("sp"), "t")
		expected += ", and t for tags"
	}
	if op.sas == "" {
		expected = "no SAS, but a token"
	}
	if c.Check("SAS permission", expected, fmt.Sprintf("%s (resource %s)", cmp.Or(q.Get("sp"), "none"), cmp.Or(q.Get("sr"), "none")), allowed) {
		return nil
	}
	return mismatch(fmt.Sprintf("The SAS (sp=%s, sr=%s) does not permit %s.", q.Get("sp"), q.Get("sr"), op.name), "Make one with the permission that is missing.")
}

// overwrite refuses to replace a blob by a SAS that may only create. Blocks replace nothing
// until they are committed.
// Source: Create a user delegation SAS, "Specify permissions" (create: "Write a new blob").
func (c *call) overwrite() *refusal {
	permissions := c.query.Get("sp")
	if c.query.Get("sig") == "" || c.op.sas != "cw" || c.op.comp == "snapshot" || c.op.comp == "block" || !strings.Contains(permissions, "c") || strings.Contains(permissions, "w") {
		return nil
	}
	r := c.bare()
	path, _, _ := strings.Cut(r.RequestURI, "?")
	r.Method, r.RequestURI, r.Header, r.Body, r.ContentLength = http.MethodHead, path, http.Header{"X-Ms-Version": {fillVersion}}, http.NoBody, 0
	r.URL.RawQuery = ""
	answer := c.accounts.serve(r, c.name, Blob)
	_ = answer.Body.Close() // it is in memory
	if c.Check("SAS permission to overwrite", "w, or a blob that is not there", permissions, answer.StatusCode == http.StatusNotFound) {
		return nil
	}
	return fail(http.StatusForbidden, "UnauthorizedBlobOverwrite", "This request is not authorized to perform blob overwrites.",
		"The SAS may create blobs (c), not replace one that is there (w).", "Make one with w, or write to another name.")
}

// stringToSign is what a user delegation SAS signs. Which lines there are depends on its
// version. Source: Create a user delegation SAS; azure-storage-blob 12.31.1 and
// azure-storage-queue 12.18 (Python), _shared_access_signature.py.
func stringToSign(q url.Values, t Target, h http.Header) string {
	version, name := q.Get("sv"), "/"+string(t.Service)+"/"+t.Account+"/"+t.Container
	if t.Service == Blob && q.Get("sr") != "c" {
		name += "/" + t.Name
	}
	lines := []string{q.Get("sp"), q.Get("st"), q.Get("se"), name, q.Get("skoid"), q.Get("sktid"), q.Get("skt"), q.Get("ske"), q.Get("sks"), q.Get("skv")}
	if t.Service == Queue {
		return strings.Join(append(lines, q.Get("skdutid"), q.Get("sduoid"), q.Get("sip"), q.Get("spr"), version), "\n")
	}
	if version >= "2020-02-10" {
		lines = append(lines, q.Get("saoid"), q.Get("suoid"), q.Get("scid"))
	}
	if version >= "2025-07-05" {
		lines = append(lines, q.Get("skdutid"), q.Get("sduoid"))
	}
	at := q.Get("snapshot")
	switch q.Get("sr") {
	case "bv":
		at = q.Get("versionid")
	case "c": // it opens the snapshots of all blobs, and names none
		at = ""
	}
	lines = append(lines, q.Get("sip"), q.Get("spr"), version, q.Get("sr"), at)
	if version >= "2020-12-06" {
		lines = append(lines, q.Get("ses"))
	}
	if version >= "2026-04-06" {
		lines = append(lines, signedPairs(q.Get("srh"), h.Get, "", "\n"), signedPairs(q.Get("srq"), q.Get, "\n", ""))
	}
	lines = append(lines, q.Get("rscc"), q.Get("rscd"), q.Get("rsce"), q.Get("rscl"), q.Get("rsct"))
	return strings.Join(lines, "\n")
}

// signedPairs are headers or parameters of the request that are signed with it, by their
// names in a SAS. before and after are around all of them, if there are any.
func signedPairs(names string, value func(string) string, before, after string) string {
	if names == "" {
		return ""
	}
	var pairs []string
	for name := range strings.SplitSeq(names, ",") {
		pairs = append(pairs, name+":"+value(name))
	}
	return before + strings.Join(pairs, "\n") + after
}

// parseTime reads the forms of time that a SAS may have; the zero time for none.
// Source: Create a user delegation SAS, "Specify the signature validity interval".
func parseTime(s string) time.Time {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z", "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func rfc1123(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// who names a caller for people.
func who(c resource.Caller) string {
	if c.Name != "" {
		return c.Name
	}
	return "object " + cmp.Or(c.ObjectID, "none")
}

// source checks who may read what x-ms-copy-source names: a SAS in it, a token of its own,
// or in the same account the caller. The target then has it.
func (c *call) source() *refusal {
	header := c.Request.Header.Get("x-ms-copy-source")
	if header == "" || !slices.Contains(c.op.headers, "x-ms-copy-source") {
		return nil
	}
	at, err := url.Parse(header)
	if err != nil || at.Host == "" {
		return badHeader("x-ms-copy-source", header, "The source of the copy is no URL.")
	}
	name, service, a, ok := c.accounts.find(at.Host)
	if !ok || service != Blob {
		c.Check("source", "a blob of an account of the lab", at.Host, false)
		return unverified(http.StatusBadRequest, "The source of the copy is not a blob in an account of this lab ("+at.Host+").", "Add the account "+name+" to storageAccounts.")
	}
	t, q := parse(name, service, at.RequestURI())
	read, _, _ := find(&http.Request{Method: http.MethodGet, Header: http.Header{}}, t, url.Values{})
	if c.op.copiesTags(c.Request) {
		read.tags = blobs + "tags/read"
	}
	if r := c.readSource(a, t, q, read); r != nil {
		return r
	}
	c.target.Source = &t
	return nil
}

func (c *call) readSource(a account, t Target, q url.Values, read operation) *refusal {
	request := c.Request.WithContext(c.Request.Context())
	request.Header = http.Header{"X-Ms-Version": {c.version()}, "Authorization": c.Request.Header.Values("x-ms-copy-source-authorization")}
	base := &resource.Call{Request: request, Host: c.Host, Token: resource.Bearer(request)}
	reading := &call{Call: base, accounts: c.accounts, name: a.name, account: a, target: t, query: q, op: read, now: c.now}
	var r *refusal
	switch {
	case q.Get("sig") != "" && q.Get("skoid") != "":
		r = reading.signed(t, q, read)
	case q.Get("sig") != "":
		r = keyRefused()
	case base.Token != "":
		var refused *resource.Refusal
		base.Caller, base.Checks, refused = c.accounts.kit.Tokens.Validate(request.Context(), base.Token, *reading.want(a, Blob))
		if refused != nil {
			r = unauthorized(refused, c.version())
		}
	case c.query.Get("sig") != "": // what it is for, and not all that its key's owner may read
		r = unverified(http.StatusUnauthorized, "Nothing says that the caller may read the source: the SAS is for what it was made for alone.",
			"Send a SAS in the URL of the source, or a token for it in x-ms-copy-source-authorization.")
	case a.name == c.account.name:
		base.Caller = c.Caller
	default:
		r = unverified(http.StatusUnauthorized, "Nothing says that the caller may read the source, which is in another account.",
			"Send a token for it in x-ms-copy-source-authorization, or a SAS in the URL of the source.")
	}
	if r == nil {
		r = reading.permitted(base, a, t, read)
	}
	for _, made := range base.Checks {
		made.Name = "source: " + made.Name
		c.Checks = append(c.Checks, made)
	}
	if r != nil {
		r = unverified(r.Status, "The source of the copy cannot be read. "+r.meaning, r.remedy)
	}
	return r
}

// unverified is how Storage refuses a source. Seen: CannotVerifyCopySource with the status
// and text of the source (Azure/azure-powershell#12287, azure-sdk-for-js#7542), and the text
// for sources that are not reached (azure-sdk-for-net#26711). Inferred: which text of its own
// a source of Storage's is given here.
func unverified(status int, meaning, remedy string) *refusal {
	message := "Could not verify the copy source within the specified time."
	switch status {
	case http.StatusForbidden:
		message = "This request is not authorized to perform this operation using this permission."
	case http.StatusUnauthorized:
		message = seeChallenge
	}
	return fail(status, "CannotVerifyCopySource", message, meaning, remedy)
}

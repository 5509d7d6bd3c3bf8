package storage_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/roles"
)

const keyHost = "https://orders" + domain + "/?restype=service&comp=userdelegationkey"

// userKey is a user delegation key as a client reads it.
type userKey struct {
	OID     string `xml:"SignedOid"`
	TID     string `xml:"SignedTid"`
	Start   string `xml:"SignedStart"`
	Expiry  string `xml:"SignedExpiry"`
	Service string `xml:"SignedService"`
	Version string `xml:"SignedVersion"`
	Value   string `xml:"Value"`
}

func (l *lab) key(start, expiry time.Time) userKey {
	l.t.Helper()
	return l.keyOf(keyHost, start, expiry)
}

func (l *lab) keyOf(host string, start, expiry time.Time) userKey {
	l.t.Helper()
	a := l.ask("POST", host, l.token(), "<?xml version='1.0' encoding='utf-8'?>\n<KeyInfo><Start>"+start.Format(time.RFC3339)+"</Start><Expiry>"+expiry.Format(time.RFC3339)+"</Expiry></KeyInfo>")
	if a.StatusCode != 200 {
		l.t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	var k userKey
	if err := xml.Unmarshal([]byte(strings.TrimPrefix(a.text, "\ufeff")), &k); err != nil {
		l.t.Fatal(err)
	}
	return k
}

// sign makes a SAS as the documentation has it for each version: the lines are written out
// here, so that the test does not repeat what it tests.
func sign(t testing.TB, k userKey, resource string, q url.Values, extra ...string) string {
	t.Helper()
	for name, value := range map[string]string{"skoid": k.OID, "sktid": k.TID, "skt": k.Start, "ske": k.Expiry, "sks": k.Service, "skv": k.Version} {
		q.Set(name, value)
	}
	v := q.Get("sv")
	lines := q.Get("sp") + "\n" + q.Get("st") + "\n" + q.Get("se") + "\n" + resource + "\n" + k.OID + "\n" + k.TID + "\n" + k.Start + "\n" + k.Expiry + "\n" + k.Service + "\n" + k.Version + "\n"
	switch v {
	case "2018-11-09", "2019-12-12":
		lines += q.Get("sip") + "\n" + q.Get("spr") + "\n" + v + "\n" + q.Get("sr") + "\n" + q.Get("snapshot") + "\n"
	case "2020-02-10", "2020-10-02":
		lines += "\n\n\n" + q.Get("sip") + "\n" + q.Get("spr") + "\n" + v + "\n" + q.Get("sr") + "\n" + q.Get("snapshot") + "\n"
	case "2020-12-06", "2024-11-04":
		lines += "\n\n\n" + q.Get("sip") + "\n" + q.Get("spr") + "\n" + v + "\n" + q.Get("sr") + "\n" + q.Get("snapshot") + "\n" + q.Get("ses") + "\n"
	case "2025-07-05":
		lines += "\n\n\n\n" + q.Get("sduoid") + "\n" + q.Get("sip") + "\n" + q.Get("spr") + "\n" + v + "\n" + q.Get("sr") + "\n" + q.Get("snapshot") + "\n" + q.Get("ses") + "\n"
	case "2026-04-06", "2026-10-06":
		signedHeaders, signedParameters := "", ""
		if len(extra) == 2 {
			signedHeaders, signedParameters = extra[0]+"\n", "\n"+extra[1]
		}
		lines += "\n\n\n\n" + q.Get("sduoid") + "\n" + q.Get("sip") + "\n" + q.Get("spr") + "\n" + v + "\n" + q.Get("sr") + "\n" + q.Get("snapshot") + "\n" + q.Get("ses") + "\n" + signedHeaders + "\n" + signedParameters + "\n"
	default:
		t.Fatalf("no version %s", v)
	}
	lines += q.Get("rscc") + "\n" + q.Get("rscd") + "\n" + q.Get("rsce") + "\n" + q.Get("rscl") + "\n" + q.Get("rsct")
	q.Set("sig", signature(t, k, lines))
	return q.Encode()
}

func signature(t testing.TB, k userKey, lines string) string {
	t.Helper()
	value, err := base64.StdEncoding.DecodeString(k.Value)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, value)
	mac.Write([]byte(lines))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const delegated = "Storage Blob Data Contributor"

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05Z") }

// forRead is a SAS for an hour that permits to read a blob.
func forRead(l *lab, version string) url.Values {
	now := l.clock.Now()
	return url.Values{"sv": {version}, "sr": {"b"}, "sp": {"r"}, "st": {stamp(now.Add(-time.Minute))}, "se": {stamp(now.Add(time.Hour))}, "spr": {"https"}}
}

// A SAS of each version that changed what is signed opens what it is for.
func TestSASVersions(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(24*time.Hour))
	if k.OID != tokentest.ObjectID || k.TID != tokentest.Tenant || k.Service != "b" || k.Version != version {
		t.Errorf("%+v", k)
	}
	for _, v := range []string{"2018-11-09", "2019-12-12", "2020-02-10", "2020-10-02", "2020-12-06", "2024-11-04", "2025-07-05", "2026-04-06", "2026-10-06"} {
		q := forRead(l, v)
		q.Set("rscc", "no-store")
		q.Set("ses", "scope")
		if a := l.ask("GET", blob+"?"+sign(t, k, "/blob/orders/inbox/hello.txt", q), "", ""); a.StatusCode != 200 || a.text != "hello" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v", v, a.StatusCode, a.text, a.Header)
		}
	}
	for _, e := range l.journal.Events() {
		if strings.Contains(e.Path, "sig=") {
			t.Errorf("the journal has a SAS: %s", e.Path)
		}
	}
	q := forRead(l, "2026-04-06")
	q.Set("srh", "x-ms-one,x-ms-two")
	q.Set("srq", "timeout")
	sas := sign(t, k, "/blob/orders/inbox/hello.txt", q, "x-ms-one:1\nx-ms-two:2", "timeout:30")
	if a := l.ask("GET", blob+"?timeout=30&"+sas, "", "", "x-ms-one", "1", "x-ms-two", "2"); a.StatusCode != 200 {
		t.Errorf("with signed headers: %d %s", a.StatusCode, a.text)
	}
	if a := l.ask("GET", blob+"?timeout=31&"+sas, "", "", "x-ms-one", "1", "x-ms-two", "2"); a.StatusCode != 403 {
		t.Errorf("with another parameter: %d %s", a.StatusCode, a.text)
	}
	name := "/blob/orders/inbox/a B/ü.txt"
	if a := l.ask("GET", "https://orders"+domain+"/inbox/a%20B/%C3%BC.txt?"+sign(t, k, name, forRead(l, "2024-11-04")), "", ""); a.StatusCode != 200 {
		t.Errorf("a name that is escaped: %d %s", a.StatusCode, a.text)
	}
}

// A SAS opens nothing when any of its parameters is changed.
func TestASASThatWasChanged(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(24*time.Hour))
	q := forRead(l, "2026-04-06")
	for _, name := range []string{"rscc", "rscd", "rsce", "rscl", "rsct", "sip", "ses", "saoid", "suoid", "scid", "snapshot"} {
		q.Set(name, "")
	}
	sas := sign(t, k, "/blob/orders/inbox/hello.txt", q)
	good, err := url.ParseQuery(sas)
	if err != nil {
		t.Fatal(err)
	}
	if a := l.ask("GET", blob+"?"+sas, "", ""); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		bad := maps.Clone(good)
		bad[name] = []string{good.Get(name) + "x"}
		a := l.ask("GET", blob+"?"+bad.Encode(), "", "")
		if a.StatusCode != 403 || a.code() != "AuthenticationFailed" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.text)
		}
		has(t, a.text, "<AuthenticationErrorDetail>Signature did not match. String to sign used was ")
	}
	for _, url := range []string{"https://orders" + domain + "/inbox/Hello.txt", "https://orders" + domain + "/inbox//hello.txt", "https://orders" + domain + "/outbox/hello.txt"} {
		if a := l.ask("GET", url+"?"+sas, "", ""); a.StatusCode != 403 {
			t.Errorf("%s: %d %s", url, a.StatusCode, a.text)
		}
	}
	bad := maps.Clone(good)
	bad.Del("skoid")
	if a := l.ask("GET", blob+"?"+bad.Encode(), "", ""); a.code() != "KeyBasedAuthenticationNotPermitted" {
		t.Errorf("without skoid: %d %s", a.StatusCode, a.text)
	}
}

// A parameter that is missing or malformed is named.
func TestParametersOfASASAreNamed(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(24*time.Hour))
	sas := sign(t, k, "/blob/orders/inbox/hello.txt", forRead(l, "2026-04-06"))
	for _, row := range []struct{ name, value, detail, meaning string }{
		{"se", "", "<AuthenticationErrorDetail>se is mandatory. Cannot be empty<", "no se: when it ends"},
		{"sp", "", "<AuthenticationErrorDetail>sp is mandatory. Cannot be empty<", "no sp: what it permits"},
		{"sr", "", "<AuthenticationErrorDetail>sr is mandatory. Cannot be empty<", "no sr: what kind"},
		{"se", "garbage", "Signature did not match", `se is "garbage" and not a time such as`},
		{"sr", "x", "Signature did not match", `sr is "x" and not b, c,`},
		{"sv", "abc", "Signature did not match", `sv is "abc" and not a version such as`},
		{"sip", "10.0.0.1-x", "Signature did not match", `sip is "10.0.0.1-x" and not an IP address`},
		{"sip", "10.0.0.1-10.0.0.9", "Signature did not match", "The SAS was changed, is for another account"},
		{"skoid", "nope", "Signature did not match", `skoid is "nope" and not a UUID`},
	} {
		q, err := url.ParseQuery(sas)
		if err != nil {
			t.Fatal(err)
		}
		q.Set(row.name, row.value)
		a := l.ask("GET", blob+"?"+q.Encode(), "", "")
		if a.StatusCode != 403 || a.code() != "AuthenticationFailed" {
			t.Errorf("%s=%s: %d %s", row.name, row.value, a.StatusCode, a.text)
		}
		has(t, a.text, row.detail)
		has(t, l.last().Meaning, row.meaning)
	}
}

// A SAS and its key are valid on the lab clock.
func TestTimesOfASAS(t *testing.T) {
	l := newLab(t, orders(delegated))
	now := l.clock.Now()
	hour := time.Hour
	for _, row := range []struct {
		name                               string
		keyStart, keyEnd, sasStart, sasEnd time.Duration // from now
		wait                               time.Duration
		detail                             string
	}{
		{"valid", 0, 24 * hour, -hour, hour, 0, ""},
		{"not yet", 0, 24 * hour, hour, 2 * hour, 0, "Start [Tue, 04 Mar 2031 06:06:07 GMT] - Expiry [Tue, 04 Mar 2031 07:06:07 GMT] - Current [Tue, 04 Mar 2031 05:06:07 GMT]"},
		{"over", 0, 24 * hour, -2 * hour, -hour, 0, "Expiry [Tue, 04 Mar 2031 04:06:07 GMT]"},
		{"its key is not yet", hour, 24 * hour, -hour, 2 * hour, 0, "Start [Tue, 04 Mar 2031 06:06:07 GMT]"},
		{"over after a while", 0, 24 * hour, -hour, hour, hour, "Expiry [Tue, 04 Mar 2031 06:06:07 GMT] - Current [Tue, 04 Mar 2031 06:06:07 GMT]"},
		{"outlives its key", 0, hour, -hour, 24 * hour, 2 * hour, "Expiry [Tue, 04 Mar 2031 06:06:07 GMT]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, orders(delegated))
			k := l.key(now.Add(row.keyStart), now.Add(row.keyEnd))
			q := forRead(l, "2024-11-04")
			q.Set("st", stamp(now.Add(row.sasStart)))
			q.Set("se", stamp(now.Add(row.sasEnd)))
			sas := sign(t, k, "/blob/orders/inbox/hello.txt", q)
			if err := l.clock.Advance(t.Context(), row.wait); err != nil {
				t.Fatal(err)
			}
			a := l.ask("GET", blob+"?"+sas, "", "")
			if row.detail == "" {
				if a.StatusCode != 200 {
					t.Errorf("%d %s", a.StatusCode, a.text)
				}
				return
			}
			if a.StatusCode != 403 || a.code() != "AuthenticationFailed" {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
			has(t, a.text, "Signature not valid in the specified time frame: Start [", row.detail)
		})
	}
}

// What a SAS permits ends with what its key's owner may do, when it is used.
func TestPermissionsOfASAS(t *testing.T) {
	const container, list = "/blob/orders/inbox", "https://orders" + domain + "/inbox?restype=container&comp=list&"
	for _, row := range []struct {
		name, role, sr, sp, method, url string
		status                          int
		code                            string
	}{
		{"read", delegated, "b", "r", "GET", blob + "?", 200, ""},
		{"read, of the container", delegated, "c", "r", "GET", blob + "?", 200, ""},
		{"write with read", delegated, "b", "r", "PUT", blob + "?", 403, "AuthorizationPermissionMismatch"},
		{"write", delegated, "b", "w", "PUT", blob + "?", 201, ""},
		{"write, without the role", "Storage Blob Data Reader", "b", "w", "PUT", blob + "?", 403, "AuthorizationPermissionMismatch"},
		{"create what is there", delegated, "b", "c", "PUT", blob + "?", 403, "UnauthorizedBlobOverwrite"},
		{"create", delegated, "c", "c", "PUT", "https://orders" + domain + "/inbox/new?", 201, ""},
		{"put a block where nothing is, with create", delegated, "c", "c", "PUT", "https://orders" + domain + "/inbox/new?comp=block&blockid=AAAA&", 201, ""},
		{"delete with write", delegated, "b", "w", "DELETE", blob + "?", 403, "AuthorizationPermissionMismatch"},
		{"delete", delegated, "b", "d", "DELETE", blob + "?", 202, ""},
		{"list with a blob's", delegated, "b", "rl", "GET", list, 403, "AuthenticationFailed"}, // it signs the blob's name
		{"list without l", delegated, "c", "r", "GET", list, 403, "AuthorizationPermissionMismatch"},
		{"list", delegated, "c", "l", "GET", list, 200, ""},
		{"list tags without t", "Storage Blob Data Owner", "c", "l", "GET", list + "include=tags&", 403, "AuthorizationPermissionMismatch"},
		{"list tags", "Storage Blob Data Owner", "c", "lt", "GET", list + "include=tags&", 200, ""},
		{"delete the container", delegated, "c", "racwdl", "DELETE", "https://orders" + domain + "/inbox?restype=container&", 403, "AuthorizationPermissionMismatch"},
		{"tags, without the role", delegated, "b", "t", "GET", blob + "?comp=tags&", 403, "AuthorizationPermissionMismatch"},
		{"tags", "Storage Blob Data Owner", "b", "t", "GET", blob + "?comp=tags&", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, orders(row.role))
			k := l.key(l.clock.Now(), l.clock.Now().Add(time.Hour))
			q := forRead(l, "2024-11-04")
			q.Set("sr", row.sr)
			q.Set("sp", row.sp)
			resource := container
			if row.sr == "b" {
				resource += "/hello.txt"
			}
			body := map[string]string{"PUT": "x"}[row.method]
			a := l.ask(row.method, row.url+sign(t, k, resource, q), "", body, "x-ms-blob-type", "BlockBlob")
			if a.StatusCode != row.status || a.code() != row.code {
				t.Errorf("expected %d %s, found %d %s %s", row.status, row.code, a.StatusCode, a.code(), a.text)
			}
			if e := l.last(); row.code != "AuthenticationFailed" && (e.Identity != "web" || e.ClientID != tokentest.ClientID) {
				t.Errorf("the journal names %s %s", e.Identity, e.ClientID)
			}
		})
	}
}

// sasFor is a SAS for a blob of container inbox, or if name is empty for the container.
func (l *lab) sasFor(name, sp string) string {
	q, resource := forRead(l, "2024-11-04"), "/blob/orders/inbox/"+name
	if name == "" {
		resource = "/blob/orders/inbox"
		q.Set("sr", "c")
	}
	q.Set("sp", sp)
	return sign(l.t, l.key(l.clock.Now(), l.clock.Now().Add(time.Hour)), resource, q)
}

// A SAS for one blob copies nothing else that its key's owner may read.
func TestASASReadsNoOtherSource(t *testing.T) {
	l := newLab(t, orders(delegated))
	copied := "https://orders" + domain + "/inbox/copy"
	for _, row := range []struct {
		name, query, source string
		status              int
		code                string
	}{
		{"without a credential for the source", "", blob, 401, "CannotVerifyCopySource"},
		{"as a block", "comp=block&blockid=AAAA&", blob, 401, "CannotVerifyCopySource"},
		{"with a SAS for the source", "", blob + "?" + l.sasFor("hello.txt", "r"), 202, ""},
	} {
		a := l.ask("PUT", copied+"?"+row.query+l.sasFor("copy", "cw"), "", "", "x-ms-copy-source", row.source)
		if a.StatusCode != row.status || a.code() != row.code {
			t.Errorf("%s: expected %d %s, found %d %s", row.name, row.status, row.code, a.StatusCode, a.text)
		}
	}
	a := l.ask("PUT", copied+"?"+l.sasFor("copy", "cw"), "", "", "x-ms-copy-source", blob, "x-ms-copy-source-authorization", "Bearer "+l.token())
	if a.StatusCode != 202 {
		t.Errorf("with a token for the source: %d %s", a.StatusCode, a.text)
	}
}

// A SAS that creates uploads in blocks, too, and still replaces nothing.
func TestBlocksOfASASThatCreates(t *testing.T) {
	l := newLab(t, orders(delegated))
	for _, row := range []struct {
		name   string
		status int // of the commit
		code   string
	}{{"new", 201, ""}, {"hello.txt", 403, "UnauthorizedBlobOverwrite"}} {
		to := "https://orders" + domain + "/inbox/" + row.name + "?" + l.sasFor(row.name, "c") + "&comp="
		for _, id := range []string{"AAAA", "AAAB"} {
			if a := l.ask("PUT", to+"block&blockid="+id, "", id); a.StatusCode != 201 {
				t.Fatalf("%s %s: %d %s", row.name, id, a.StatusCode, a.text)
			}
		}
		a := l.ask("PUT", to+"blocklist", "", "<BlockList><Latest>AAAA</Latest><Latest>AAAB</Latest></BlockList>")
		if a.StatusCode != row.status || a.code() != row.code {
			t.Errorf("%s: expected %d %s, found %d %s", row.name, row.status, row.code, a.StatusCode, a.text)
		}
	}
}

// A SAS of a container names no snapshot, and reads those of its blobs.
func TestASASOfAContainerReadsSnapshots(t *testing.T) {
	l := newLab(t, orders(delegated))
	at := l.ask("PUT", blob+"?comp=snapshot", l.token(), "").Header.Get("x-ms-snapshot")
	if a := l.ask("GET", blob+"?"+l.sasFor("", "r")+"&snapshot="+url.QueryEscape(at), "", ""); a.StatusCode != 200 || a.text != "hello" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// Tags that an upload sets need their own permission.
func TestTagsOfAnUploadWithASAS(t *testing.T) {
	l := newLab(t, orders("Storage Blob Data Owner"))
	for sp, status := range map[string]int{"w": 403, "t": 403, "wt": 201} {
		a := l.ask("PUT", blob+"?"+l.sasFor("hello.txt", sp), "", "x", "x-ms-blob-type", "BlockBlob", "x-ms-tags", "a=b")
		if a.StatusCode != status {
			t.Errorf("%s: expected %d, found %d %s", sp, status, a.StatusCode, a.text)
		}
	}
}

// A SAS copies tags if it may set them, and read them at the source.
func TestTagsOfACopyWithASAS(t *testing.T) {
	l := newLab(t, orders("Storage Blob Data Owner"))
	for _, row := range []struct {
		sp, source string
		status     int
		code       string
	}{{"cw", "rt", 403, "AuthorizationPermissionMismatch"}, {"cwt", "r", 403, "CannotVerifyCopySource"}, {"cwt", "rt", 202, ""}} {
		a := l.ask("PUT", "https://orders"+domain+"/inbox/copy?"+l.sasFor("copy", row.sp), "", "",
			"x-ms-requires-sync", "true", "x-ms-copy-source-tag-option", "COPY", "x-ms-copy-source", blob+"?"+l.sasFor("hello.txt", row.source))
		if a.StatusCode != row.status || a.code() != row.code {
			t.Errorf("%s from %s: expected %d %s, found %d %s", row.sp, row.source, row.status, row.code, a.StatusCode, a.text)
		}
	}
}

// A role that is taken away from the owner of a key is taken away from every SAS.
func TestASASEndsWithTheRole(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(time.Hour))
	sas := sign(t, k, "/blob/orders/inbox/hello.txt", forRead(l, "2024-11-04"))
	if a := l.ask("GET", blob+"?"+sas, "", ""); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	for _, a := range l.roles.Assignments(func(a roles.Assignment) bool { return a.ClientID == tokentest.ClientID }) {
		if _, _, err := l.roles.Remove(a.ID); err != nil {
			t.Fatal(err)
		}
	}
	if a := l.ask("GET", blob+"?"+sas, "", ""); a.StatusCode != 403 || a.code() != "AuthorizationPermissionMismatch" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	has(t, l.last().Meaning, "blobs/read")
}

// A SAS of a queue that permits to read opens its metadata, which say how many messages it has
// (Create a user delegation SAS, "Specify permissions").
func TestASASOfAQueue(t *testing.T) {
	const queue = "https://orders.queue.core.windows.net/"
	account := orders("Storage Queue Data Reader", "Storage Queue Delegator")
	account.Queues = []string{"jobs"}
	l := newLab(t, account)
	now := l.clock.Now()
	k := l.keyOf(queue+"?restype=service&comp=userdelegationkey", now, now.Add(time.Hour))
	for _, row := range []struct {
		sp, path string
		status   int
	}{
		{"r", "jobs?comp=metadata&", 200},
		{"aup", "jobs?comp=metadata&", 403},
		{"r", "jobs/messages?peekonly=true&", 200},
		{"raup", "jobs?comp=acl&", 403},
	} {
		q := url.Values{"sv": {version}, "sp": {row.sp}, "se": {stamp(now.Add(time.Hour))}, "skoid": {k.OID}, "sktid": {k.TID}, "skt": {k.Start}, "ske": {k.Expiry}, "sks": {k.Service}, "skv": {k.Version}}
		q.Set("sig", signature(t, k, row.sp+"\n\n"+q.Get("se")+"\n/queue/orders/jobs\n"+k.OID+"\n"+k.TID+"\n"+k.Start+"\n"+k.Expiry+"\n"+k.Service+"\n"+k.Version+"\n\n\n\n\n"+version))
		a := l.ask("GET", queue+row.path+q.Encode(), "", "")
		if a.StatusCode != row.status || row.status == 200 && strings.Contains(row.path, "metadata") != (a.Header.Get("x-ms-approximate-messages-count") == "0") {
			t.Errorf("%s with %s: expected %d, found %d %v %s", row.path, row.sp, row.status, a.StatusCode, a.Header, a.text)
		}
	}
}

// A SAS for one user wants that user's token, too.
func TestASASForAUser(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(time.Hour))
	q := forRead(l, "2025-07-05")
	q.Set("sduoid", otherObject)
	sas := blob + "?" + sign(t, k, "/blob/orders/inbox/hello.txt", q)
	for _, row := range []struct {
		token  string
		status int
	}{{"", 401}, {l.token(), 403}, {l.tokenOf(other, otherObject), 200}} {
		if a := l.ask("GET", sas, row.token, ""); a.StatusCode != row.status {
			t.Errorf("expected %d, found %d %s", row.status, a.StatusCode, a.text)
		}
	}
}

func TestUserDelegationKeys(t *testing.T) {
	l := newLab(t, orders(delegated))
	now := l.clock.Now()
	body := func(start, expiry string) string {
		return "<KeyInfo><Start>" + start + "</Start><Expiry>" + expiry + "</Expiry></KeyInfo>"
	}
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for _, row := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"for seven days", body(at(0), at(7*24*time.Hour)), 200, ""},
		{"without a start", "<KeyInfo><Expiry>" + at(time.Hour) + "</Expiry></KeyInfo>", 200, ""},
		{"with a byte order mark", "\ufeff" + body(at(0), at(time.Hour)), 200, ""},
		{"for longer", body(at(0), at(7*24*time.Hour+time.Minute)), 400, "InvalidXmlNodeValue"},
		{"that has ended", body(at(-2*time.Hour), at(-time.Hour)), 400, "InvalidXmlNodeValue"},
		{"that ends before it begins", body(at(2*time.Hour), at(time.Hour)), 400, "InvalidXmlNodeValue"},
		{"without an expiry", body(at(0), ""), 400, "InvalidXmlNodeValue"},
		{"with what is no time", body("soon", at(time.Hour)), 400, "InvalidXmlNodeValue"},
		{"of no XML", "{}", 400, "InvalidXmlDocument"},
		{"of half a document", "<KeyInfo><Start>", 400, "InvalidXmlDocument"},
		{"of another document", "<Key/>", 400, "InvalidXmlDocument"},
		{"of two documents", body(at(0), at(time.Hour)) + "<x/>", 400, "InvalidXmlDocument"},
		{"of nothing", "", 400, "InvalidXmlDocument"},
		{"of too much", "<KeyInfo>" + strings.Repeat(" ", 70<<10) + "</KeyInfo>", 413, "RequestBodyTooLarge"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := l.ask("POST", keyHost, l.token(), row.body)
			if a.StatusCode != row.status || a.code() != row.code {
				t.Errorf("expected %d %s, found %d %s", row.status, row.code, a.StatusCode, a.text)
			}
			if e := l.last(); e.Status != row.status || row.code != "" && e.Meaning == "" {
				t.Errorf("the journal has %+v", e)
			}
		})
	}
}

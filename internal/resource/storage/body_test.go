package storage_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// endless is a body of which reading says that it was read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

// What is too long, or does not say how long it is, is refused before it is read, and not
// before the caller is known.
func TestBodiesThatAreRefused(t *testing.T) {
	for _, row := range []struct {
		name, method, url string
		token             bool
		length            int64
		status            int
		code, text        string
	}{
		{"a gigabyte", "PUT", blob, true, 1 << 30, 413, "RequestBodyTooLarge", "<MaxLimit>268435456</MaxLimit>"},
		{"a byte too many", "PUT", blob, true, storage.MaxBody + 1, 413, "RequestBodyTooLarge", "exceeds the maximum permissible limit"},
		{"a gigabyte, without a token", "PUT", blob, false, 1 << 30, 401, "NoAuthenticationInformation", ""},
		{"without a length", "PUT", blob, true, -1, 411, "MissingContentLengthHeader", ""},
		{"a batch without a length", "POST", batchURL, true, -1, 411, "MissingContentLengthHeader", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, orders(delegated))
			var body endless
			r := httptest.NewRequest(row.method, row.url, &body)
			r.ContentLength = row.length
			r.Header.Set("x-ms-version", version)
			r.Header.Set("x-ms-blob-type", "BlockBlob")
			if row.token {
				r.Header.Set("Authorization", "Bearer "+l.token())
			}
			r.RequestURI = r.URL.RequestURI()
			a := read(t, hostmux.Answer(l.mux, r))
			if a.StatusCode != row.status || a.code() != row.code {
				t.Errorf("expected %d %s, found %d %s", row.status, row.code, a.StatusCode, a.text)
			}
			has(t, a.text, row.text)
			if body.read > 0 {
				t.Errorf("%d bytes were read", body.read)
			}
			if e := l.last(); e.Error != row.code || e.Meaning == "" {
				t.Errorf("the journal has %+v", e)
			}
		})
	}
}

// A body that ends before its declared length makes no blob.
func TestALengthThatLies(t *testing.T) {
	l := newLab(t, orders(delegated))
	server := httptest.NewServer(l.mux)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "PUT /inbox/half HTTP/1.1\r\nHost: orders%s\r\nx-ms-version: %s\r\nx-ms-blob-type: BlockBlob\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\nhalf", domain, version, l.token()); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && r.StatusCode < 400 {
		text, _ := io.ReadAll(r.Body)
		t.Errorf("%d %s", r.StatusCode, text)
	}
	if a := l.ask("GET", "https://orders"+domain+"/inbox/half", l.token(), ""); a.StatusCode != 404 {
		t.Errorf("half a blob is there: %d %s", a.StatusCode, a.text)
	}
}

// Names arrive as they are sent; two that differ in case or slashes are two.
func TestNames(t *testing.T) {
	l := newLab(t, orders(delegated))
	names := []string{"A", "a", "a//b", "a/b", "a%2Fc", "dir/a%20b+c%25/%C3%BC//Q%3F%23&x.TXT", "..%2Fx", "a.", ".", "%E2%84%AA"}
	for n, name := range names {
		if a := l.ask("PUT", "https://orders"+domain+"/inbox/"+name, l.token(), fmt.Sprint(n), "x-ms-blob-type", "BlockBlob"); a.StatusCode != 201 {
			t.Fatalf("%s: %d %s", name, a.StatusCode, a.text)
		}
	}
	for n, name := range names {
		if a := l.ask("GET", "https://orders"+domain+"/inbox/"+name, l.token(), ""); a.text != fmt.Sprint(n) {
			t.Errorf("%s: expected %d, found %s", name, n, a.text)
		}
		if e := l.last(); e.Path != "/inbox/"+name {
			t.Errorf("the journal has the path %s", e.Path)
		}
	}
	list := l.ask("GET", "https://orders"+domain+"/inbox?restype=container&comp=list&prefix=dir", l.token(), "")
	has(t, list.text, "<Name>dir/a b+c%/ü//Q?#&amp;x.TXT</Name>")
}

// Blocks of one upload are one line for people: their events differ in nothing that is told.
func TestBlocksHaveOneSummary(t *testing.T) {
	l := newLab(t, orders(delegated))
	for _, id := range []string{"AAAA", "AAAB", "AAAC"} {
		if a := l.ask("PUT", "https://orders"+domain+"/inbox/big?comp=block&blockid="+id, l.token(), "x"); a.StatusCode != 201 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
		if found := l.last().Summary; found != "storage account orders: Put Block inbox/big by web" {
			t.Errorf("found %s", found)
		}
	}
}

// Who copies tags may set them where the copy is, and read them where its source is.
func TestTagsOfCopies(t *testing.T) {
	for roles, expected := range map[[2]string]string{
		{"Storage Blob Data Contributor", "Storage Blob Data Owner"}: "AuthorizationPermissionMismatch",
		{"Storage Blob Data Owner", "Storage Blob Data Reader"}:      "CannotVerifyCopySource",
		{"Storage Blob Data Owner", "Storage Blob Data Owner"}:       "",
	} {
		theirs := storage.Account{Name: "reports", Tenant: tokentest.Tenant, Containers: map[string]map[string]string{"out": {"R.txt": "report"}},
			Access: []storage.Access{{Identity: tokentest.ClientID, Roles: roles[1:]}}}
		l := newLab(t, orders(roles[0]), theirs)
		a := l.ask("PUT", "https://orders"+domain+"/inbox/copy", l.token(), "", "x-ms-requires-sync", "true", "x-ms-copy-source-tag-option", "COPY",
			"x-ms-copy-source", "https://reports"+domain+"/out/R.txt", "x-ms-copy-source-authorization", "Bearer "+l.token())
		if a.code() != expected || (a.StatusCode == 202) != (expected == "") {
			t.Errorf("%s: expected %q, found %d %s", roles, expected, a.StatusCode, a.text)
		}
	}
}

// A copy reads its source with a credential of its own: what the caller may read in the same
// account, or a token or SAS for the source.
func TestSourcesOfCopies(t *testing.T) {
	mine := orders(delegated)
	theirs := storage.Account{Name: "reports", Tenant: tokentest.Tenant, Containers: map[string]map[string]string{"out": {"R.txt": "report"}},
		Access: []storage.Access{{Identity: other, Roles: []string{"Storage Blob Data Reader"}}}}
	const report = "https://reports" + domain + "/out/R.txt"
	for _, row := range []struct {
		name, source, token string
		status              int
		code                string
	}{
		{"of the same account", blob, "", 202, ""},
		{"of another one, without a credential", report, "", 401, "CannotVerifyCopySource"},
		{"of another one, with the caller's token", report, "web", 403, "CannotVerifyCopySource"},
		{"of another one, with a reader's token", report, "reports", 202, ""},
		{"with an account key's SAS", report + "?sv=2022-11-02&sr=b&sp=r&sig=x", "", 403, "CannotVerifyCopySource"},
		{"of nowhere", "https://nowhere" + domain + "/out/r.txt", "", 400, "CannotVerifyCopySource"},
		{"of what is no URL", "out/r.txt", "", 400, "InvalidHeaderValue"},
		{"of what is not there", "https://orders" + domain + "/inbox/none", "", 404, "BlobNotFound"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, mine, theirs)
			headers := []string{"x-ms-copy-source", row.source}
			if row.token != "" {
				token := map[string]string{"web": l.token(), "reports": l.tokenOf(other, otherObject)}[row.token]
				headers = append(headers, "x-ms-copy-source-authorization", "Bearer "+token)
			}
			a := l.ask("PUT", "https://orders"+domain+"/inbox/copy", l.token(), "", headers...)
			if a.StatusCode != row.status || row.code != "BlobNotFound" && a.code() != row.code {
				t.Errorf("expected %d %s, found %d %s", row.status, row.code, a.StatusCode, a.text)
			}
			if row.status == 202 {
				expected := map[bool]string{true: "report", false: "hello"}[row.source == report]
				if a := l.ask("GET", "https://orders"+domain+"/inbox/copy", l.token(), ""); a.text != expected {
					t.Errorf("expected %s, found %s", expected, a.text)
				}
			} else if e := l.last(); e.Meaning == "" {
				t.Errorf("the journal has %+v", e)
			}
		})
	}
}

// What the backend sees has no credential in it.
func TestACopyWithASAS(t *testing.T) {
	l := newLab(t, orders(delegated))
	k := l.key(l.clock.Now(), l.clock.Now().Add(1<<40))
	sas := sign(t, k, "/blob/orders/inbox/hello.txt", forRead(l, "2024-11-04"))
	a := l.ask("PUT", "https://orders"+domain+"/inbox/copy", l.token(), "", "x-ms-copy-source", blob+"?"+sas)
	if a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	a = l.ask("HEAD", "https://orders"+domain+"/inbox/copy", l.token(), "")
	if found := a.Header.Get("x-ms-copy-source"); found != blob || strings.Contains(fmt.Sprint(a.Header), "sig=") {
		t.Errorf("found %s", found)
	}
}

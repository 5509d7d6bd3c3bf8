package recording_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/recording"
)

// storage asks an account, with pairs of headers, and returns the answer's status and body.
func (s *recorded) storage(access, method, address, body string, headers ...string) (int, string) {
	s.Helper()
	var sent io.Reader = http.NoBody
	if body != "" {
		sent = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "https://orders."+address, sent)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("x-ms-version", "2024-11-04")
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(r)
}

// What goes into accounts and comes out of them is not in a recording, and neither is a
// signature that may open a real account. All the same it replays.
func TestContentOfStorageAccounts(t *testing.T) {
	s := record(t, config.Config{Resources: map[string]any{
		"storageAccounts": []any{map[string]any{"name": "orders", "containers": map[string]any{"inbox": map[string]any{"Hello.txt": "hello"}}, "queues": []string{"jobs"}}},
		"storage":         map[string]any{"backend": "memory"},
	}}, recording.Options{})
	const blob, content = "blob.core.windows.net", "somebody's own data"
	access, _ := s.exchange(url.Values{"client_assertion": {s.assertion()}, "scope": {"https://storage.azure.com/.default"}})
	want := func(status int, method, address, body string, headers ...string) string {
		t.Helper()
		found, text := s.storage(access, method, address, body, headers...)
		if found != status {
			t.Fatalf("%s %s: %d %s", method, address, found, text)
		}
		return text
	}
	want(201, "PUT", blob+"/inbox/A//b%20c", content, "x-ms-blob-type", "BlockBlob", "x-ms-meta-who", "somebody")
	want(200, "GET", blob+"/inbox/A//b%20c", "")
	want(206, "GET", blob+"/inbox/A//b%20c", "", "Range", "bytes=3-7")
	for _, id := range []string{"AAAA", "AAAB"} {
		want(201, "PUT", blob+"/inbox/blocks?comp=block&blockid="+id, content+id)
	}
	want(201, "PUT", blob+"/inbox/blocks?comp=blocklist", "<BlockList><Latest>AAAB</Latest><Latest>AAAA</Latest></BlockList>")
	want(404, "GET", blob+"/inbox/none", "")
	want(200, "GET", blob+"/inbox?restype=container&comp=list", "")
	want(201, "POST", "queue.core.windows.net/jobs/messages", "<QueueMessage><MessageText>"+content+"</MessageText></QueueMessage>")
	want(200, "GET", "queue.core.windows.net/jobs/messages", "")

	begin := s.lab.Clock().Now().UTC().Format("2006-01-02T15:04:05Z")
	var key struct{ SignedOid, SignedTid, SignedStart, SignedExpiry, Value string }
	expiry := s.lab.Clock().Now().UTC().AddDate(0, 0, 1).Format("2006-01-02T15:04:05Z")
	answer := want(200, "POST", blob+"/?restype=service&comp=userdelegationkey", "<KeyInfo><Start>"+begin+"</Start><Expiry>"+expiry+"</Expiry></KeyInfo>")
	if err := xml.Unmarshal([]byte(strings.TrimPrefix(answer, "\ufeff")), &key); err != nil {
		t.Fatal(err)
	}
	signed := func(resource, kind, permissions string) url.Values {
		text := permissions + "\n\n" + expiry + "\n/blob/orders/" + resource + "\n" + key.SignedOid + "\n" + key.SignedTid + "\n" + key.SignedStart + "\n" + key.SignedExpiry + "\nb\n2024-11-04\n\n\n\n\n\n2024-11-04\n" + kind + "\n\n\n\n\n\n\n"
		value, _ := base64.StdEncoding.DecodeString(key.Value)
		mac := hmac.New(sha256.New, value)
		mac.Write([]byte(text))
		return url.Values{
			"sv": {"2024-11-04"}, "sr": {kind}, "sp": {permissions}, "se": {expiry}, "skoid": {key.SignedOid}, "sktid": {key.SignedTid}, "skt": {key.SignedStart}, "ske": {key.SignedExpiry},
			"sks": {"b"}, "skv": {"2024-11-04"}, "sig": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		}
	}
	sas := signed("inbox/A//b c", "b", "r")
	if status, answer := s.storage("", "GET", blob+"/inbox/A//b%20c?"+sas.Encode(), ""); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	sas.Set("sig", "bm90IG1hZGUgaGVyZQ==")
	if status, answer := s.storage("", "GET", blob+"/inbox/A//b%20c?"+sas.Encode(), ""); status != 403 {
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer := s.storage("", "GET", blob+"/inbox/A//b%20c?sv=2022-11-02&sr=b&sp=r&sig=YSByZWFsIG9uZQ%3D%3D", "", "x-ms-copy-source", "https://x/?sig=YSByZWFsIG9uZQ%3D%3D"); status != 403 {
		t.Fatalf("%d %s", status, answer)
	}

	// The requests of a batch have SAS of their own; the one is kept that it was sent with.
	batch := func(sas string) string {
		const head = "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n"
		return head + "DELETE /inbox/none?" + sas + " HTTP/1.1\r\nContent-Length: 0\r\n\r\n--b--\r\n"
	}
	const elsewhere = "sv=2022-11-02&sr=b&sp=d&sig=YSByZWFsIG9uZQ%3D%3D"
	want(202, "POST", blob+"/?comp=batch", batch(elsewhere), "Content-Type", "multipart/mixed; boundary=b")
	want(202, "POST", blob+"/?comp=batch", batch("SR=b&amp;Sig=YSByZWFsIG9uZQ%3D%3D"), "Content-Type", "multipart/mixed; boundary=b")
	all := signed("inbox", "c", "d").Encode()
	if status, answer := s.storage("", "POST", blob+"/inbox?restype=container&comp=batch&"+all, batch(all), "Content-Type", "multipart/mixed; boundary=b"); status != 202 || !strings.Contains(answer, "BlobNotFound") {
		t.Fatalf("%d %s", status, answer)
	}
	const customersKey = "Y3VzdG9tZXIncyBrZXkgb2YgMzIgYnl0ZXMgaXMgaGU="
	for _, name := range []string{"x-ms-encryption-key", "x-ms-source-encryption-key", "x-ms-file-request-intent"} {
		status, answer := s.storage(access, "PUT", blob+"/inbox/sealed", content, "x-ms-blob-type", "BlockBlob", "x-ms-encryption-algorithm", "AES256", name, customersKey)
		if refused := name == "x-ms-encryption-key"; refused != (status == 501) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}

	written := s.written()
	for _, secret := range []string{content, base64.StdEncoding.EncodeToString([]byte(content)), "YSByZWFsIG9uZQ", "bm90IG1hZGUgaGVyZQ", key.Value, access, customersKey} {
		if strings.Contains(written, secret) {
			t.Errorf("the recording has %s", secret)
		}
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	for _, told := range []string{`"bodyLength": 19`, sum, "<Latest>AAAB</Latest>", "/inbox/A//b%20c", `"X-Ms-Meta-Who"`, "bytes=3-7", `"X-Ms-Encryption-Key"`, "HTTP/1.1"} {
		if !strings.Contains(written, told) {
			t.Errorf("the recording does not have %s", told)
		}
	}
	wantSame(t, replay(t, written))
}

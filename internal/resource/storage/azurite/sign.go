package azurite

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// sign sets Authorization. Documented: Authorize with Shared Key. Where Azurite reads a
// request in another way than the service, it is signed as Azurite reads it.
func (a *Azurite) sign(r *http.Request, t storage.Target, query url.Values) {
	resource := "/" + t.Account + r.URL.Opaque // in path style the account counts twice
	if t.Service == storage.Table {
		if comp := query.Get("comp"); comp != "" {
			resource += "?comp=" + comp
		}
		r.Header.Set("Authorization", "SharedKeyLite "+t.Account+":"+a.signature(t.Account, r.Header.Get("x-ms-date")+"\n"+resource))
		return
	}
	r.Header.Set("Authorization", "SharedKey "+t.Account+":"+a.signature(t.Account, stringToSign(r, resource, query)))
}

func (a *Azurite) signature(account, text string) string {
	mac := hmac.New(sha256.New, a.keys[account])
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func stringToSign(r *http.Request, resource string, query url.Values) string {
	length := ""
	if r.ContentLength > 0 {
		length = strconv.FormatInt(r.ContentLength, 10)
	}
	lines := []string{r.Method}
	for _, name := range []string{"Content-Encoding", "Content-Language", "", "Content-MD5", "Content-Type", "Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"} {
		if name == "" {
			lines = append(lines, length)
			continue
		}
		lines = append(lines, asNode(r.Header.Values(name)))
	}
	var own []string
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			own = append(own, lower+":"+asNode(values))
		}
	}
	slices.SortFunc(own, compareAsAzurite)
	lines = append(append(lines, own...), resource)
	var parameters []string
	for name, values := range query {
		parameters = append(parameters, strings.ToLower(name)+":"+values[0])
	}
	slices.Sort(parameters)
	return strings.Join(append(lines, parameters...), "\n")
}

// asNode is how Node reads a header: values joined, trimmed, and each byte a character.
func asNode(values []string) string {
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Trim(v, " \t") // net/http writes it so
	}
	joined := strings.Join(trimmed, ", ")
	runes := make([]rune, len(joined))
	for i := range len(joined) {
		runes[i] = rune(joined[i])
	}
	return string(runes)
}

// compareAsAzurite sorts headers as its localeCompare does, for which _ comes before - and
// both come before digits and letters.
func compareAsAzurite(a, b string) int {
	weight := func(header string) string {
		name, _, _ := strings.Cut(header, ":")
		return strings.NewReplacer("_", "\x01", "-", "\x02").Replace(name)
	}
	return strings.Compare(weight(a), weight(b))
}

// sourceURL is where Azurite itself reads the source of a copy: the client's URL leads to
// wiemu, or nowhere. The path says which account, and an account SAS that it may.
func (a *Azurite) sourceURL(t storage.Target) string {
	u := url.URL{Scheme: "http", Host: a.addresses[storage.Blob], Path: "/" + t.Account + "/" + t.Container + "/" + t.Name}
	q := url.Values{}
	if t.Snapshot != "" {
		q.Set("snapshot", t.Snapshot)
	}
	a.grant(t.Account, q)
	u.RawQuery = q.Encode()
	return u.String()
}

// grant adds an account SAS for reading, for the next minutes of the machine's clock.
// Documented: Create an account SAS.
func (a *Azurite) grant(account string, q url.Values) {
	const version = "2020-02-10"
	end := time.Now().UTC().Add(10 * time.Minute).Format("2006-01-02T15:04:05Z")
	for name, value := range map[string]string{"sv": version, "ss": "b", "srt": "o", "sp": "r", "se": end} {
		q.Set(name, value)
	}
	q.Set("sig", a.signature(account, strings.Join([]string{account, "r", "b", "o", "", end, "", "", version, ""}, "\n")))
}

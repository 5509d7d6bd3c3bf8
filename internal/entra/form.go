package entra

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/truncate"
)

// The limits of a token request. Entra ID's own are not known.
const (
	maxBody       = 128 << 10 // bytes; the largest of assertions has some 10 KiB
	maxParameters = 100
	maxName       = 256 // bytes of a parameter's name
)

// MaxBody returns how many bytes the body of a request to a login host may have: of
// its endpoints, the token endpoints alone have one.
func MaxBody(r *http.Request) int64 {
	path := strings.TrimSuffix(r.URL.Path, "/") // see withoutFinalSlash
	if r.Method == http.MethodPost && (strings.HasSuffix(path, "/oauth2/v2.0/token") || strings.HasSuffix(path, "/oauth2/token")) {
		return maxBody
	}
	return 0
}

// httpDetails are the details of the HTTP request that the first checks look at.
type httpDetails struct {
	method, path string
	contentType  string
	encoding     string   // Content-Encoding, if the body is not in plain text because of it
	client       string   // library and version, if the client says
	telemetry    bool     // the client is one of the MSAL family
	echo         string   // client-request-id as it was sent
	json         bool     // the body is JSON
	inURL        []string // parameters of a token request that stand in the URL
	basic        bool     // the client authenticates itself in the Authorization header
	apiVersion   string   // the api-version parameter of the URL; "": none
	problem      string   // why the form cannot be used; "" when it can
	refusal      *aadsts.Error
}

// readForm reads a token request from HTTP. It refuses nothing: what is wrong is
// noted for the checks.
func readForm(r *http.Request) (form, httpDetails) {
	query := r.URL.Query()
	a := httpDetails{
		method: r.Method, path: httppath.Original(r), contentType: r.Header.Get("Content-Type"),
		inURL: tokenParameters(query), apiVersion: query.Get("api-version"),
	}
	if r.Method != http.MethodPost {
		return nil, a
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		a.problem, a.refusal = "the body could not be read: "+err.Error(), aadsts.MalformedRequest()
		return nil, a
	}
	a.json = bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	kind, parameters, err := mime.ParseMediaType(a.contentType)
	if errors.Is(err, mime.ErrInvalidMediaParameter) {
		err = nil // the type itself can be read
	}
	var f form
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		f, err = parseForm(string(body))
	case err == nil && kind == "multipart/form-data" && parameters["boundary"] != "": // without one it cannot be read
		f, err = parseMultipart(body, parameters["boundary"])
	default:
		// Seen: a body of another type is no form, so its parameters are missing.
		a.problem = fmt.Sprintf("Content-Type is %q, so the body was not read as a form", clipped(a.contentType))
		return nil, a
	}
	if coding := r.Header.Get("Content-Encoding"); err != nil && coding != "" {
		// Seen: the compressed bytes are looked through for parameters, which are missing.
		// Source: deploymenttheory/terraform-provider-microsoft365#777, #2519 (2025, 2026).
		a.encoding, a.problem = coding, fmt.Sprintf("Content-Encoding is %q, which is not undone", clipped(coding))
		return nil, a
	}
	if err != nil {
		a.problem, a.refusal = err.Error(), aadsts.MalformedRequest()
		var twice duplicate
		if errors.As(err, &twice) {
			a.refusal = aadsts.DuplicatedParameter(string(twice))
		}
	}
	return f, a
}

func tokenParameters(query url.Values) []string {
	names := []string{"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"}
	return slices.DeleteFunc(names, func(name string) bool { return !query.Has(name) })
}

// form is the parameters of a token request, names in lower case: Entra ID, an
// ASP.NET service, ignores their case.
type form map[string]string

type duplicate string

func (d duplicate) Error() string { return fmt.Sprintf("the parameter %q is there twice", string(d)) }

// parseForm reads application/x-www-form-urlencoded text. White space around
// names and values is dropped, as the real endpoint does: the curl line of the
// Radix documentation has a line break after nearly every value.
func parseForm(body string) (form, error) {
	f := make(form, 8)
	for pair := range strings.SplitSeq(body, "&") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescape(rawName)
		if err != nil {
			return f, fmt.Errorf("a parameter's name: %w", err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			return f, fmt.Errorf("the value of %q: %w", clipped(name), err)
		}
		if err := f.add(name, value); err != nil {
			return f, err
		}
	}
	return f, nil
}

// parseMultipart reads multipart/form-data, which curl -F sends and Entra ID
// accepts. A part with a file name is no parameter.
// Source: TheNetworg/oauth2-azure#41, Azure/azure-cli#17627.
func parseMultipart(body []byte, boundary string) (form, error) {
	f := make(form, 8)
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, fmt.Errorf("the parts of the body: %w", err)
		}
		value, err := io.ReadAll(part) // it is no longer than the body
		if err != nil {
			return f, fmt.Errorf("the part %q: %w", clipped(part.FormName()), err)
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		name, text := strings.TrimSpace(part.FormName()), strings.TrimSpace(string(value))
		if !isText(name) || !isText(text) {
			return f, fmt.Errorf("the part %q: %w", clipped(name), errNoText)
		}
		if err := f.add(name, text); err != nil {
			return f, err
		}
	}
}

// add puts a parameter into the form, unless it is one too many.
func (f form) add(name, value string) error {
	if len(name) > maxName {
		return fmt.Errorf("the parameter %q… has a name of %d bytes; at most %d are taken", clipped(name), len(name), maxName)
	}
	key := strings.ToLower(name)
	if _, twice := f[key]; twice {
		return duplicate(name)
	}
	if f[key] = value; len(f) > maxParameters {
		return fmt.Errorf("there are more than %d parameters", maxParameters)
	}
	return nil
}

var errNoText = errors.New("it is not text: it has control characters or is not UTF-8")

func unescape(s string) (string, error) {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return "", err
	}
	if s = strings.TrimSpace(s); !isText(s) {
		return s, errNoText
	}
	return s, nil
}

// isText reports whether s is UTF-8 without control characters other than line
// breaks and tabs, which some shells leave in a value. U+FFFD is a character as
// any other when a client encoded it.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == 0x7f || r < ' ' && r != '\n' && r != '\r' && r != '\t'
	})
}

func clipped(s string) string { return truncate.Bytes(s, 80) }

// bounded shortens a client's string for the journal, to more
// than any field of a federated credential can have, and never a megabyte.
func bounded(s string) string { return truncate.Bytes(s, 1024) }

// tokenRequest puts a token request together from its form and headers.
func (s *Service) tokenRequest(r *http.Request, version int, tenant string) Request {
	f, a := readForm(r)
	request := Request{
		Version: version, Host: r.Host, Tenant: tenant,
		GrantType: f["grant_type"], ClientID: f["client_id"], Scope: f["scope"], Resource: f["resource"],
		ClientSecret: f["client_secret"], Assertion: f["client_assertion"], AssertionType: f["client_assertion_type"], Claims: f["claims"],
		TraceID: s.newTraceID(),
	}
	if version == 1 && request.Resource == "" {
		request.Resource = r.URL.Query().Get("resource") // seen: jenius-apps/nightingale-rest-api-client#106
	}
	if id, secret, ok := r.BasicAuth(); ok {
		a.basic = true
		request.authenticateBasic(formDecoded(id), formDecoded(secret), &a)
	}
	// Source: MSAL sends these as headers, MSAL Node in the form.
	sent := func(header, parameter string) string { return cmp.Or(r.Header.Get(header), f[parameter]) }
	if sku := sent("X-Client-Sku", "x-client-sku"); sku != "" {
		a.telemetry = true
		a.client = clipped(strings.TrimSpace(sku + " " + sent("X-Client-Ver", "x-client-ver")))
	} else {
		a.client = r.UserAgent()
	}
	if id, ok := parseGUID(sent("Client-Request-Id", "client-request-id")); ok {
		request.CorrelationID, a.echo = id, sent("Client-Request-Id", "client-request-id")
	} else {
		request.CorrelationID = s.newGUID()
	}
	request.http = a
	return request
}

// authenticateBasic takes the client's id and secret from the Authorization
// header (client_secret_basic, RFC 6749 §2.3.1).
func (r *Request) authenticateBasic(id, secret string, a *httpDetails) {
	switch {
	case r.ClientID != "" && !strings.EqualFold(r.ClientID, id):
		a.problem, a.refusal = "the Authorization header and the form name different clients", aadsts.MalformedRequest()
	case r.ClientSecret != "" && r.ClientSecret != secret:
		a.problem, a.refusal = "the Authorization header and the form have different secrets", aadsts.MalformedRequest()
	default:
		r.ClientID, r.ClientSecret = id, secret
	}
}

// formDecoded undoes the encoding that RFC 6749 wants inside a Basic header and
// that many clients leave out.
func formDecoded(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// parseGUID reads a GUID in its usual form only; uuid.Parse knows others.
func parseGUID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

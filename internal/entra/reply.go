package entra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/httppath"
)

// serveToken answers the token endpoints. OPTIONS is what browsers ask before they
// send a request from another site.
// Source: the text of 900561; the headers of the reply are inferred.
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request, version int) {
	if r.Method == http.MethodOptions {
		s.preflight(w, r, "POST, OPTIONS")
		return
	}
	request := s.tokenRequest(r, version, httppath.Segment(r, 0))
	token, refusal := s.Exchange(r.Context(), request)
	h := w.Header()
	h["Cache-Control"] = []string{"no-store, no-cache"}
	h["Pragma"] = []string{"no-cache"}
	h["Expires"] = []string{"-1"}
	s.commonHeaders(h, request.TraceID, request.http.echo)
	s.setCookies(h)
	if request.http.telemetry {
		h["X-Ms-Clitelem"] = []string{aadsts.Telemetry(codeOf(refusal))}
	}
	if refusal != nil {
		if refusal.RetryAfter > 0 { // RFC 9110 §10.2.3
			h["Retry-After"] = []string{strconv.FormatInt(int64((refusal.RetryAfter+time.Second-1)/time.Second), 10)}
		}
		writeJSON(w, refusal.Status, refusal.Reply(s.config.Cloud.Login, s.config.Clock.Now(), request.TraceID.String(), request.CorrelationID.String()))
		return
	}
	writeJSON(w, http.StatusOK, token.reply(version))
}

func codeOf(refusal *aadsts.Error) int {
	if refusal == nil {
		return 0
	}
	return refusal.Code
}

// granted is the body of a granted request. The v1 endpoint writes numbers as
// strings and says more. There is never a scope, which MSAL Go would compare
// with what it asked for, and no refresh_token.
type granted struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    any    `json:"expires_in"`
	ExtExpiresIn any    `json:"ext_expires_in"`
	ExpiresOn    string `json:"expires_on,omitempty"`
	NotBefore    string `json:"not_before,omitempty"`
	Resource     string `json:"resource,omitempty"`
	AccessToken  string `json:"access_token"`
}

func (t Token) reply(version int) granted {
	var in any = int64(t.ExpiresIn / time.Second)
	if version == 1 || t.InStrings {
		in = fmt.Sprint(in)
	}
	reply := granted{TokenType: "Bearer", ExpiresIn: in, ExtExpiresIn: in, AccessToken: t.AccessToken}
	if version == 1 {
		reply.ExpiresOn, reply.NotBefore = fmt.Sprint(t.ExpiresAt.Unix()), fmt.Sprint(t.NotBefore.Unix())
		reply.Resource = t.Resource
	}
	return reply
}

// setCookies sets those of the service and of the gateway before it, as recorded
// with a token.
func (s *Service) setCookies(h http.Header, more ...string) {
	cookies := append(make([]string, 0, 4), "fpc="+s.opaque()+"; expires="+s.config.Clock.Now().AddDate(0, 0, 30).Format(http.TimeFormat)+"; path=/; secure; HttpOnly; SameSite=None")
	cookies = append(cookies, more...)
	h["Set-Cookie"] = append(cookies,
		"x-ms-gateway-slice=estsfd; path=/; secure; samesite=none; httponly",
		"stsservicecookie=estsfd; path=/; secure; samesite=none; httponly")
}

// commonHeaders are those of every reply, as recorded. The client's request id
// comes back even to those who ask for it not to (Return-Client-Request-Id).
func (s *Service) commonHeaders(h http.Header, traceID uuid.UUID, echo string) {
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	h["Strict-Transport-Security"] = []string{"max-age=31536000; includeSubDomains"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["P3p"] = []string{`CP="DSP CUR OTPi IND OTRi ONL FIN"`}
	h["X-Ms-Request-Id"] = []string{traceID.String()}
	h["X-Ms-Ests-Server"] = []string{"2.1.20106.4 - WUS3 ProdSlices"}
	h["X-Ms-Srs"] = []string{"1.P"}
	h["X-Xss-Protection"] = []string{"0"}
	h["Content-Security-Policy-Report-Only"] = []string{contentPolicy(s.opaque()[:22])}
	if _, ok := parseGUID(echo); ok {
		h["Client-Request-Id"] = []string{echo}
	}
}

// contentPolicy is the header for browsers that every reply carries, with a
// nonce of its own.
func contentPolicy(nonce string) string {
	return "object-src 'none'; base-uri 'self'; script-src 'self' 'nonce-" + nonce + "' 'unsafe-inline' 'unsafe-eval' " +
		"https://*.msauth.net https://*.msftauth.net https://*.msftauthimages.net https://*.msauthimages.net https://*.msidentity.com " +
		"https://*.microsoftonline-p.com https://*.microsoftazuread-sso.com https://*.azureedge.net https://*.outlook.com https://*.office.com " +
		"https://*.office365.com https://*.microsoft.com https://*.bing.com 'report-sample'; report-uri https://csp.microsoft.com/report/ESTS-UX-All"
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	writeBody(w, status, encoded(value))
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away has no use for the error
}

// encoded returns a value as Entra ID writes it, without escaping <, > and &.
func encoded(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // the values are structs of strings and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

package arm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// write sends an answer with the headers that Resource Manager sends.
// Source: response headers of management.azure.com in hashicorp/terraform-provider-azurerm#20867
func (s *Service) write(w http.ResponseWriter, r *http.Request, found any, failed *failure) {
	id := uuid.NewString()
	correlation := id
	if given, err := uuid.Parse(r.Header.Get("x-ms-correlation-request-id")); err == nil {
		correlation = given.String()
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ms-Correlation-Request-Id", correlation)
	h.Set("X-Ms-Request-Id", id)
	h.Set("X-Ms-Routing-Request-Id", fmt.Sprintf("NORTHEUROPE:%s:%s", s.clock.Now().UTC().Format("20060102T150405Z"), id))
	status, body := http.StatusOK, found
	if failed != nil {
		status = failed.status
		body = problem{problemBody{failed.code, failed.message}}
		h.Set("X-Ms-Failure-Cause", "gateway")
		if failed.challenge != "" {
			h.Set("WWW-Authenticate", failed.challenge)
		}
	} else if client := r.Header.Get("x-ms-client-request-id"); client != "" && strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("X-Ms-Client-Request-Id", client)
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone: there is nobody to tell
}

type problem struct {
	Error problemBody `json:"error"`
}

type problemBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// tell writes the request into the journal.
func (s *Service) tell(ctx context.Context, e journal.Event, to route, failed *failure) {
	e.Part, e.Resource, e.Status = "arm", "Azure Resource Manager", http.StatusOK
	e.Detail["action"] = to.verb
	who := cmp.Or(e.Identity, e.ClientID, "somebody without a token")
	e.Summary = fmt.Sprintf("%s: %s by %s", e.Resource, to.verb, who)
	if failed != nil {
		e.Outcome, e.Status, e.Error, e.Message = journal.Denied, failed.status, failed.code, failed.message
		e.Meaning, e.Remedy = failed.meaning, failed.remedy
		e.Summary += fmt.Sprintf(": refused with %d %s: %s", failed.status, failed.code, cmp.Or(failed.meaning, failed.message))
	}
	fault.Note(ctx, &e)
	s.journal.Record(e)
}

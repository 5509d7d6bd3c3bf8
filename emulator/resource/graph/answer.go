package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// reply is the content of a good answer.
type reply entity

// challenge tells a client that a token is needed, and where to get one.
func (s *Service) challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+s.validator.Cloud().Authority()+`common/oauth2/authorize", client_id="`+appID+`"`)
}

// write sends an answer with the headers that Graph sends.
func (s *Service) write(w http.ResponseWriter, r *http.Request, found reply, failed *failure) {
	id := uuid.NewString()
	client := cmp.Or(r.Header.Get("client-request-id"), id)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("Request-Id", id)
	h.Set("Client-Request-Id", client)
	h.Set("X-Ms-Ags-Diagnostic", `{"ServerInfo":{"DataCenter":"North Europe","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"DB1PEPF000509F1"}}`)
	status, contentType, body := http.StatusOK, "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8", entity(found)
	if failed != nil {
		status, contentType = failed.status, "application/json"
		body = entity{{"error", entity{
			{"code", failed.code},
			{"message", failed.message},
			{"innerError", entity{
				{"date", s.clock.Now().Format("2006-01-02T15:04:05")},
				{"request-id", id},
				{"client-request-id", client},
			}},
		}}}
	} else {
		h.Set("OData-Version", "4.0")
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone: there is nobody to tell
}

// tell writes the request into the journal.
func (s *Service) tell(ctx context.Context, e journal.Event, to route, failed *failure) {
	e.Part, e.Resource, e.Status = "graph", "Microsoft Graph", http.StatusOK
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

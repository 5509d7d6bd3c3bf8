package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// maxBatch is how many requests a batch has at most.
// Source: microsoft-graph-docs-contrib, concepts/json-batching.md.
const maxBatch = 20

// batched is one request of a batch.
type batched struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// batch answers several requests at once, each as if it had come alone, with the batch's token.
// Source: microsoft-graph-docs-contrib, concepts/json-batching.md (what depends on a request that
// failed is answered with 424). Seen: the code and text about too many in release notes of
// syskit.com's Point. The texts about other mistakes are inferred.
func (c *call) batch(body object) (resource.Answer, *resource.Failure) {
	var requests []batched
	if body.taken("requests", &requests) != nil || len(requests) == 0 {
		return resource.Answer{}, invalidBatch("A batch has the member requests, an array of objects with id, method and url.")
	}
	if len(requests) > maxBatch {
		return resource.Answer{}, resource.Fail(http.StatusBadRequest, "MaximumValueExceeded", fmt.Sprintf("Number of batch request steps exceeds the maximum value of %d.", maxBatch), "A batch has at most 20 requests.", "Send several batches.")
	}
	if failed := checkBatch(requests); failed != nil {
		return resource.Answer{}, failed
	}
	handler := c.Handler()
	statuses, responses := map[string]int{}, []entity{}
	for _, r := range requests {
		answer := c.dispatch(handler, r, statuses)
		status, _ := answer.get("status")
		statuses[r.ID], _ = status.value.(int)
		responses = append(responses, answer)
	}
	return resource.Answer{Body: entity{{"responses", responses}}}, nil
}

func invalidBatch(meaning string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadRequest", "Invalid batch payload format.", meaning, "")
}

// checkBatch refuses a batch of which no request is answered.
func checkBatch(requests []batched) *resource.Failure {
	before := map[string]bool{}
	for _, r := range requests {
		switch {
		case r.ID == "" || r.Method == "" || r.URL == "":
			return invalidBatch("Each request of a batch has id, method and url.")
		case before[r.ID]:
			return invalidBatch("Two requests of the batch have the id " + r.ID + ".")
		case slices.ContainsFunc(r.DependsOn, func(id string) bool { return !before[id] }):
			return invalidBatch("The request " + r.ID + " depends on one that is not before it.")
		}
		before[r.ID] = true
	}
	return nil
}

// dispatch answers one request, given the statuses of those before.
func (c *call) dispatch(handler http.Handler, r batched, statuses map[string]int) entity {
	if slices.ContainsFunc(r.DependsOn, func(id string) bool { return statuses[id] >= http.StatusBadRequest }) {
		return entity{{"id", r.ID}, {"status", http.StatusFailedDependency}, {"body", entity{{"error", entity{{"code", "FailedDependency"}, {"message", "A dependent batch request step failed."}}}}}}
	}
	path := "/" + c.version() + "/" + strings.TrimPrefix(r.URL, "/")
	ctx := c.kit.Faults.WithTrail(httppath.WithoutOriginal(c.Context())) // what hits one request has not hit those behind it
	request, err := http.NewRequestWithContext(ctx, strings.ToUpper(r.Method), "https://"+c.Request.Host+path, bytes.NewReader(r.Body))
	if err != nil || strings.Contains(strings.ToLower(request.URL.Path), "/$batch") { // decoded: $ may be %24
		return entity{{"id", r.ID}, {"status", http.StatusBadRequest}, {"body", entity{{"error", entity{{"code", "BadRequest"}, {"message", "Invalid request url."}}}}}}
	}
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Authorization", c.Request.Header.Get("Authorization"))
	return answered(r.ID, handler, request)
}

// answered is the answer to a request of a batch.
func answered(id string, handler http.Handler, request *http.Request) entity {
	from := hostmux.Answer(handler, request)
	defer from.Body.Close() // it is in memory
	headers := entity{{"Cache-Control", "no-cache"}}
	for _, name := range []string{"Content-Type", "OData-Version", "Location", "Retry-After"} {
		if value := from.Header.Get(name); value != "" {
			headers = append(headers, property{name, value})
		}
	}
	answer := entity{{"id", id}, {"status", from.StatusCode}, {"headers", headers}}
	body, _ := io.ReadAll(from.Body) // of one that breaks off, what there is
	if body = bytes.TrimSpace(body); len(body) > 0 {
		if json.Valid(body) {
			return append(answer, property{"body", json.RawMessage(body)})
		}
		return append(answer, property{"body", string(body)}) // one that breaks off; no source was found for what Graph makes of it
	}
	return answer
}

package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// answers are faults of what Entra ID and the resources answer.
func answers() []Kind {
	selects := []string{selectClient, selectIssuer, selectKid, selectResource, selectWorkload}
	return []Kind{
		{
			Name: faultkind.Throttled, Point: faultkind.AtRequest, Selects: selects,
			Summary: "requests are answered with 429 and Retry-After",
			Description: "Entra ID says AADSTS90055, each resource what it says when there are too many requests; a storage account says 503 ServerBusy. Clients that honour Retry-After wait that long on their own clock. " +
				"Retry-After counts seconds; retry-after 0s leaves the header out.",
			Parameters: []Parameter{{Name: "retry-after", Type: TypeDuration, Default: "1s", Description: "what Retry-After says, in whole seconds; 0s: no such header"}},
			Example:    "throttled --for resource=entra --count 2 retry-after=3s",
		},
		{
			Name: faultkind.ServerError, Point: faultkind.AtRequest, Selects: selects,
			Summary:     "requests are answered with a 5xx",
			Description: "Entra ID says AADSTS90033 with that status, each resource its own error body. SDKs try again a few times on 500, 502, 503 and 504.",
			Parameters: []Parameter{
				{Name: "status", Type: TypeChoice, Values: []string{"500", "502", "503", "504"}, Default: "503", Description: "the HTTP status"},
				{Name: "retry-after", Type: TypeDuration, Default: "0s", Description: "what Retry-After says, in whole seconds; 0s: no such header"},
			},
			Example: "server-error --for resource=keyvault --nth 2 --count 1 status=503",
		},
		{
			Name: faultkind.Slow, Point: faultkind.AtArrival, Selects: selects,
			Summary:     "answers come late",
			Description: "The request is answered as ever, but only after a while of the machine's time, since a client's time-outs run on that. Other faults may hit the same request.",
			Parameters:  []Parameter{{Name: "latency", Type: TypeDuration, Most: "1m30s", Default: "2s", Description: "how late, in machine time; at most 1m30s"}},
			Example:     "slow --for resource=entra latency=5s",
		},
		{
			Name: faultkind.ConnectionReset, Point: faultkind.AtRequest, Selects: selects,
			Summary:     "the connection is reset instead of an answer",
			Description: "The client sees ECONNRESET (over HTTP/2 a reset stream). Before: nothing has happened in the lab. After: what was asked for has happened, a token was given out or a secret read, and the answer is lost. Body: half of the answer arrives.",
			Parameters:  []Parameter{{Name: "stage", Type: TypeChoice, Values: []string{"before", "after", "body"}, Default: "before", Description: "when: before the request is handled, after it, or in the middle of the answer's body"}},
			Example:     "connection-reset --for resource=entra --count 1 stage=body",
		},
		{
			Name: faultkind.Truncated, Point: faultkind.AtRequest, Selects: selects,
			Summary:     "the answer's body is cut in the middle, with the Content-Length of the whole",
			Description: "The connection ends before all of the body came: an unexpected EOF, not a JSON error, for clients that honour Content-Length.",
			Example:     "truncated --for resource=entra --nth 2 --count 1",
		},
		{
			Name: faultkind.Malformed, Point: faultkind.AtRequest, Selects: selects,
			Summary:     "the answer is not valid JSON, or XML",
			Description: "The body is complete, of the right type and status, and does not parse: its last brace, or bracket, is missing.",
			Example:     "malformed --for resource=entra --count 1",
		},
		{
			Name: faultkind.WrongContentType, Point: faultkind.AtRequest, Selects: selects,
			Summary:     "the answer is a gateway's page in text/html",
			Description: "As a proxy or a login portal between client and cloud answers: HTML, where JSON is expected. With status 200 it looks like a success.",
			Parameters:  []Parameter{{Name: "status", Type: TypeChoice, Values: []string{"200", "403", "502", "503"}, Default: "200", Description: "the HTTP status"}},
			Example:     "wrong-content-type --for resource=entra --count 1 status=502",
		},
	}
}

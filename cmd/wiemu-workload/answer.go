package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// An Answer is what the program prints.
type Answer struct {
	OK bool `json:"ok"`

	Value     any             `json:"value,omitempty"`      // the secret's value, or what Graph returned
	Version   string          `json:"version,omitempty"`    // of the secret
	ExpiresOn int64           `json:"expires_on,omitempty"` // Unix seconds, on the clock of this program
	Claims    json.RawMessage `json:"claims,omitempty"`     // of the access token
	Token     string          `json:"token,omitempty"`      // the access token, only on request

	Error         string `json:"error,omitempty"`         // what went wrong, in words
	Code          int    `json:"code,omitempty"`          // AADSTS code, when the token service refused
	Reason        string `json:"reason,omitempty"`        // the service's word for it: invalid_client, SecretNotFound
	Status        int    `json:"status,omitempty"`        // HTTP
	Host          string `json:"host,omitempty"`          // who refused
	TraceID       string `json:"traceId,omitempty"`       // of the token service
	CorrelationID string `json:"correlationId,omitempty"` // of the token service
}

// refusal makes an answer of what went wrong.
func refusal(err error) Answer {
	var denied *azidentity.AuthenticationFailedError
	var refused *azcore.ResponseError
	var graph *graphError
	switch {
	case errors.As(err, &denied) && denied.RawResponse != nil:
		return byTokenService(denied.RawResponse, err)
	case errors.As(err, &refused) && refused.RawResponse != nil:
		answer := byService(refused.StatusCode, body(refused.RawResponse), err)
		answer.Host = host(refused.RawResponse)
		if answer.Reason == "" {
			answer.Reason = refused.ErrorCode
		}
		return answer
	case errors.As(err, &graph):
		answer := byService(graph.status, graph.body, err)
		answer.Host = strings.TrimPrefix(graphHost, "https://")
		return answer
	}
	return Answer{Error: err.Error()}
}

// byTokenService reads Entra ID's error object.
func byTokenService(response *http.Response, err error) Answer {
	answer := Answer{Error: err.Error(), Status: response.StatusCode, Host: host(response)}
	var said struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
	}
	if json.Unmarshal(body(response), &said) != nil || said.Error == "" {
		return answer
	}
	answer.Error, answer.Reason = said.Description, said.Error
	answer.TraceID, answer.CorrelationID = said.TraceID, said.CorrelationID
	if len(said.Codes) > 0 {
		answer.Code = said.Codes[0]
	}
	return answer
}

// byService reads the error object that Key Vault and Microsoft Graph share.
func byService(status int, body []byte, err error) Answer {
	answer := Answer{Error: err.Error(), Status: status}
	var said struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && said.Error.Code != "" {
		answer.Error, answer.Reason = said.Error.Message, said.Error.Code
	}
	return answer
}

// graphError is Microsoft Graph's refusal.
type graphError struct {
	status int
	body   []byte
}

// Error gives the status; [byService] reads the rest.
func (e *graphError) Error() string {
	return fmt.Sprintf("Microsoft Graph answered %d %s", e.status, http.StatusText(e.status))
}

// body returns the body of a response, which the SDK has kept.
func body(response *http.Response) []byte {
	if response.Body == nil {
		return nil
	}
	data, err := runtime.Payload(response)
	if err != nil {
		return nil
	}
	return data
}

func host(response *http.Response) string {
	if response.Request == nil || response.Request.URL == nil {
		return ""
	}
	return response.Request.URL.Host
}

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
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
	var byMSAL msalerrors.CallErr
	var refused *azcore.ResponseError
	var plain *httpError
	var response *http.Response
	switch {
	case errors.As(err, &denied):
		response = denied.RawResponse
	case errors.As(err, &byMSAL):
		response = byMSAL.Resp
	case errors.As(err, &refused):
		response = refused.RawResponse
	case errors.As(err, &plain):
		response = plain.response
	}
	if response == nil {
		return Answer{Error: err.Error()}
	}
	text := body(response)
	answer, said := byTokenService(text, err)
	if !said {
		answer = byService(text, err)
	}
	answer.Status, answer.Host = response.StatusCode, host(response)
	if refused != nil {
		answer.Reason = cmp.Or(answer.Reason, refused.ErrorCode)
	}
	return answer
}

// byTokenService reads Entra ID's error object, if the body is one.
func byTokenService(body []byte, err error) (Answer, bool) {
	var said struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return Answer{Error: err.Error()}, false
	}
	answer := Answer{Error: said.Description, Reason: said.Error, TraceID: said.TraceID, CorrelationID: said.CorrelationID}
	if len(said.Codes) > 0 {
		answer.Code = said.Codes[0]
	}
	return answer, true
}

// byService reads the error object that Key Vault and Microsoft Graph share.
func byService(body []byte, err error) Answer {
	answer := Answer{Error: err.Error()}
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

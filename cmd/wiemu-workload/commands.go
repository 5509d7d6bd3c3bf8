package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"

	"github.com/wiemu/wiemu/internal/unverified"
)

type action func(context.Context, azcore.TokenCredential) (Answer, error)

func token(scope string, whole bool) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return Answer{}, err
		}
		answer := Answer{ExpiresOn: got.ExpiresOn.Unix()}
		if whole {
			answer.Token = got.Token
		}
		answer.Claims, err = claims(got.Token)
		return answer, err
	}
}

// claims returns the claims of a token, unverified, to show them.
func claims(raw string) (json.RawMessage, error) {
	token, err := unverified.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read the access token: %w", err)
	}
	payload, err := token.Claims.JSON()
	if err != nil {
		return nil, fmt.Errorf("read the claims of the access token: %w", err)
	}
	return payload, nil
}

// A watch does the same again and again with one credential and its cache, as a service does.
type watch struct {
	every time.Duration // between the beginnings of two attempts
	times int           // 0: until stopped, or until it has lasted as long as it may
	lasts time.Duration // 0: until stopped, or until it was done often enough
	fresh bool          // make a new credential for each attempt
}

// An Attempt is one line of a watch.
type Attempt struct {
	Attempt int       `json:"attempt"`        // from 1
	Time    time.Time `json:"time"`           // when it began, on the clock of this program
	Does    string    `json:"does,omitempty"` // of several commands: which one, such as sql query
	Answer
}

// run prints a line for each attempt, or one for each part of it, and returns whether all were successful. It
// ends when ctx does, and then, too, finishes the attempt that is under way.
func (w watch) run(ctx context.Context, c command, out io.Writer) (ok bool, err error) {
	answer := func(ctx context.Context, p part) Answer { return c.withOneCredential()(ctx, p) }
	if !w.fresh {
		answer = c.withOneCredential()
	}
	ticker := time.NewTicker(w.every) // of the application's clock, which is the lab's in lockstep
	defer ticker.Stop()
	lines, began := json.NewEncoder(out), time.Now() // the application's clock, as the next and all here
	ok = true
	for n := 1; ; n++ {
		for _, p := range c.parts {
			attempt := Attempt{Attempt: n, Time: time.Now().UTC()}
			if len(c.parts) > 1 {
				attempt.Does = p.name
			}
			attempt.Answer = answer(context.WithoutCancel(ctx), p)
			ok = ok && attempt.OK
			if err := lines.Encode(attempt); err != nil {
				return false, err
			}
		}
		if n == w.times {
			return ok, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ok, nil
		}
		if w.lasts > 0 && time.Since(began) >= w.lasts {
			return ok, nil
		}
	}
}

// An Answer is what the program prints.
type Answer struct {
	OK bool `json:"ok"`

	Value     any             `json:"value,omitempty"`      // the secret's value, the certificate's subject, the text of a blob or message, what Graph or Resource Manager returned, or the rows of a database
	Version   string          `json:"version,omitempty"`    // of the secret, key or certificate, or the ETag of a blob
	ExpiresOn int64           `json:"expires_on,omitempty"` // Unix seconds: the token's, on the clock of this program, or the certificate's
	Claims    json.RawMessage `json:"claims,omitempty"`     // of the access token
	Token     string          `json:"token,omitempty"`      // the access token, only on request

	Error         string `json:"error,omitempty"`         // what went wrong, in words
	Code          int    `json:"code,omitempty"`          // AADSTS code, when the token service refused
	Reason        string `json:"reason,omitempty"`        // the service's word for it: invalid_client, SecretNotFound, or a database's number or SQLSTATE: 18456, 28P01
	Status        int    `json:"status,omitempty"`        // HTTP, of refusals, of Graph and of Resource Manager
	Host          string `json:"host,omitempty"`          // that refused
	TraceID       string `json:"traceId,omitempty"`       // of the token service
	CorrelationID string `json:"correlationId,omitempty"` // of the token service
}

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
		if answer, ok := byDatabase(err); ok {
			return answer
		}
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

// byService reads the error object that Key Vault and Microsoft Graph share, or Storage's.
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
	} else if text, code := storageError(body); code != "" {
		answer.Error, answer.Reason = text, code
	}
	return answer
}

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

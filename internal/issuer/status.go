package issuer

import (
	"fmt"
	"net/http"
	"strings"
)

// Status is how a Kubernetes API server refuses: the JSON body and, in Code, the
// HTTP status. It is an error.
// Kubernetes: staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go
type Status struct {
	Kind       string         `json:"kind"`       // Status
	APIVersion string         `json:"apiVersion"` // v1
	Metadata   struct{}       `json:"metadata"`
	Status     string         `json:"status"` // Failure
	Message    string         `json:"message"`
	Reason     string         `json:"reason"`
	Details    *StatusDetails `json:"details,omitempty"`
	Code       int            `json:"code"`
}

// StatusDetails says what a Status is about.
type StatusDetails struct {
	Name   string        `json:"name,omitempty"`
	Group  string        `json:"group,omitempty"`
	Kind   string        `json:"kind,omitempty"` // a resource or a kind, as Kubernetes has it
	Causes []StatusCause `json:"causes,omitempty"`
}

// StatusCause is one field's fault.
type StatusCause struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Field   string `json:"field,omitempty"`
}

// Error returns the message.
func (s *Status) Error() string { return s.Message }

// The constructors follow staging/src/k8s.io/apimachinery/pkg/api/errors.

func refusal(code int, reason, message string, details *StatusDetails) *Status {
	return &Status{
		Kind: "Status", APIVersion: "v1", Status: "Failure",
		Code: code, Reason: reason, Message: message, Details: details,
	}
}

func badRequest(format string, args ...any) *Status {
	return refusal(http.StatusBadRequest, "BadRequest", fmt.Sprintf(format, args...), nil)
}

func notFound(resource, name string) *Status {
	return refusal(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", resource, name),
		&StatusDetails{Name: name, Kind: resource})
}

func methodNotAllowed() *Status {
	return refusal(http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource", &StatusDetails{})
}

func conflict(group, kind, name, why string) *Status {
	qualified := kind
	if group != "" {
		qualified += "." + group
	}
	return refusal(http.StatusConflict, "Conflict", fmt.Sprintf("Operation cannot be fulfilled on %s %q: %s", qualified, name, why),
		&StatusDetails{Name: name, Group: group, Kind: kind})
}

type fieldFault struct {
	field string
	value any // a string or an int64
	fault string
}

// invalid refuses a TokenRequest with wrong fields. name is "" where
// Kubernetes leaves it out, in the checks that look at no object.
func invalid(name string, faults ...fieldFault) *Status {
	details := &StatusDetails{Name: name, Group: authenticationGroup, Kind: "TokenRequest"}
	var messages []string
	for _, f := range faults {
		value := fmt.Sprint(f.value)
		if s, ok := f.value.(string); ok {
			value = fmt.Sprintf("%q", s)
		}
		body := fmt.Sprintf("Invalid value: %s: %s", value, f.fault)
		details.Causes = append(details.Causes, StatusCause{Reason: "FieldValueInvalid", Message: body, Field: f.field})
		messages = append(messages, f.field+": "+body)
	}
	all := strings.Join(messages, ", ")
	if len(messages) > 1 {
		all = "[" + all + "]"
	}
	return refusal(http.StatusUnprocessableEntity, "Invalid",
		fmt.Sprintf("TokenRequest.%s %q is invalid: %s", authenticationGroup, name, all), details)
}

func internalError(err error) *Status {
	return refusal(http.StatusInternalServerError, "InternalError", "Internal error occurred: "+err.Error(),
		&StatusDetails{Causes: []StatusCause{{Message: err.Error()}}})
}

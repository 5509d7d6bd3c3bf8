package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// The version of AdmissionReview that is understood.
// Source: kubernetes, api/admission/v1/types.go.
const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
)

// review is a question of an API server's, or its answer.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID         string          `json:"uid"`
	Kind        groupKind       `json:"kind"`
	SubResource string          `json:"subResource"`
	Name        string          `json:"name"`
	Namespace   string          `json:"namespace"`
	Operation   string          `json:"operation"`
	DryRun      bool            `json:"dryRun"`
	Object      json.RawMessage `json:"object"`
}

type groupKind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type response struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	Status    *status  `json:"status,omitempty"`
	PatchType string   `json:"patchType,omitempty"`
	Patch     []byte   `json:"patch,omitempty"` // base64 in JSON
	Warnings  []string `json:"warnings,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// parseReview reads an API server's question.
func parseReview(data []byte) (*request, error) {
	var r review
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read the AdmissionReview: %w", err)
	}
	switch {
	case r.Kind != reviewKind || r.APIVersion != reviewVersion:
		return nil, fmt.Errorf("expected %s %s, found %q %q; set admissionReviewVersions: [v1] in the webhook's configuration", reviewVersion, reviewKind, r.APIVersion, r.Kind)
	case r.Request == nil:
		return nil, errors.New("read the AdmissionReview: request: expected one, found nothing")
	case r.Request.UID == "":
		return nil, errors.New("read the AdmissionReview: request.uid: expected an id, found nothing")
	}
	return r.Request, nil
}

// isNewPod reports whether the question is about what is changed here.
func (r *request) isNewPod() bool {
	return r.Kind == groupKind{Version: "v1", Kind: "Pod"} && r.Operation == "CREATE" && r.SubResource == ""
}

func allowed(r *request) *response { return &response{UID: r.UID, Allowed: true} }

func denied(r *request, text string) *response {
	return &response{UID: r.UID, Status: &status{Code: http.StatusBadRequest, Message: text}}
}

// withPatch adds what changes the object.
func (r *response) withPatch(patch []Operation) (*response, error) {
	if len(patch) == 0 {
		return r, nil
	}
	data, err := encode(patch)
	if err != nil {
		return nil, fmt.Errorf("encode the patch: %w", err)
	}
	r.PatchType, r.Patch = "JSONPatch", data
	return r, nil
}

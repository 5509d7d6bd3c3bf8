package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The supported version of AdmissionReview.
// Source: kubernetes, api/admission/v1/types.go.
const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
)

// review is a request of an API server, or the response to it.
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

func (r *request) isNewPod() bool {
	return r.Kind == groupKind{Version: "v1", Kind: "Pod"} && r.Operation == "CREATE" && r.SubResource == ""
}

func allowed(r *request) *response { return &response{UID: r.UID, Allowed: true} }

func denied(r *request, text string) *response {
	return &response{UID: r.UID, Status: &status{Code: http.StatusBadRequest, Message: text}}
}

func (r *response) withPatch(patch []Operation) (*response, error) {
	if len(patch) == 0 {
		return r, nil
	}
	data, err := Encode(patch)
	if err != nil {
		return nil, fmt.Errorf("encode the patch: %w", err)
	}
	r.PatchType, r.Patch = "JSONPatch", data
	return r, nil
}

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	Op    string // add, replace or remove
	Path  string // JSON pointer (RFC 6901)
	Value any
}

// MarshalJSON writes a value only if the operation has one; it may be null.
func (o Operation) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"op": o.Op, "path": o.Path}
	if o.Op != "remove" {
		fields["value"] = o.Value
	}
	return Encode(fields)
}

// UnmarshalJSON reads an operation.
func (o *Operation) UnmarshalJSON(data []byte) error {
	var fields struct {
		Op, Path string
		Value    any
	}
	err := json.Unmarshal(data, &fields)
	*o = Operation(fields)
	return err
}

// diff appends the operations that turn before into after; lists may only grow.
func diff(patch []Operation, path string, before, after any) []Operation {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			return diffObjects(patch, path, b, a)
		}
	case []any:
		if a, ok := after.([]any); ok && len(a) >= len(b) {
			for i := range b {
				patch = diff(patch, path+"/"+strconv.Itoa(i), b[i], a[i])
			}
			for _, more := range a[len(b):] {
				patch = append(patch, Operation{"add", path + "/-", more})
			}
			return patch
		}
	}
	if !reflect.DeepEqual(before, after) {
		patch = append(patch, Operation{"replace", path, after})
	}
	return patch
}

func diffObjects(patch []Operation, path string, before, after map[string]any) []Operation {
	for _, field := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[field]; !kept {
			patch = append(patch, Operation{Op: "remove", Path: path + "/" + pointer(field)})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(after)) {
		at := path + "/" + pointer(field)
		if old, had := before[field]; had {
			patch = diff(patch, at, old, after[field])
		} else {
			patch = append(patch, Operation{"add", at, after[field]})
		}
	}
	return patch
}

// pointer escapes a field's name (RFC 6901 §3).
func pointer(field string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(field) }

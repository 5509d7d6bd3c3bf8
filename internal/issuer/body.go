package issuer

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxBody is the longest request body that is read, in bytes.
const maxBody = 1 << 20

type protobufMessage interface{ protobuf() protobufFields }

// readObject reads the body of a request into an object of a kind, whose type is written to meta.
// Kubernetes: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/create.go
func readObject(w http.ResponseWriter, r *http.Request, kind string, meta *typeMeta, into protobufMessage) *Status {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") == "" {
		media, err = mediaJSON, nil
	}
	if err != nil || media != mediaJSON && media != mediaProtobuf {
		return refusal(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
			"the body of the request was in an unknown format - accepted media types include: "+mediaJSON+", "+mediaProtobuf, nil)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Request entity too large: limit is %d", tooLong.Limit), nil)
	}
	if err != nil {
		return badRequest("read the body: %v", err)
	}
	if media == mediaProtobuf {
		return parseProtobuf(data, kind, meta, into)
	}
	return parseJSON(data, kind, meta, into)
}

func parseJSON(data []byte, kind string, meta *typeMeta, into any) *Status {
	var found typeMeta
	if err := json.Unmarshal(data, &found); err != nil {
		return unrecognized(kind, "couldn't get version/kind; json parse error: "+err.Error(), data)
	}
	if refused := checkKind(kind, found); refused != nil {
		return refused
	}
	if err := json.Unmarshal(data, into); err != nil {
		return badRequest("%s in version %q cannot be handled as a %s: %v", kind, "v1", kind, err)
	}
	*meta = found
	return nil
}

func parseProtobuf(data []byte, kind string, meta *typeMeta, into protobufMessage) *Status {
	found, raw, err := protobufObject(data)
	if err != nil {
		return unrecognized(kind, err.Error(), data)
	}
	if refused := checkKind(kind, found); refused != nil {
		return refused
	}
	if err := into.protobuf().read(raw); err != nil {
		return badRequest("%s in version %q cannot be handled as a %s: %v", kind, "v1", kind, err)
	}
	*meta = found
	return nil
}

// checkKind refuses an object of another kind; one that does not say is taken
// for the right one. All kinds but ServiceAccount are of authentication.k8s.io.
func checkKind(kind string, found typeMeta) *Status {
	of := authenticationGroup + "/v1"
	if kind == serviceAccountType.Kind {
		of = serviceAccountType.APIVersion
	}
	found.Kind = cmp.Or(found.Kind, kind)
	found.APIVersion = cmp.Or(found.APIVersion, of)
	if found.Kind == kind && found.APIVersion == of {
		return nil
	}
	version := found.APIVersion[strings.LastIndex(found.APIVersion, "/")+1:]
	return badRequest("%s in version %q cannot be handled as a %s: no kind %q is registered for version %q", found.Kind, version, kind, found.Kind, found.APIVersion)
}

// unrecognized refuses a body that is no object and shows its beginning.
func unrecognized(kind, why string, data []byte) *Status {
	const shown = 30
	beginning := data[:min(len(data), shown)]
	summary := hex.EncodeToString(beginning)
	switch {
	case len(data) == 0:
		summary = "<empty>"
	case data[0] == '{':
		summary = string(beginning)
	}
	if len(data) > shown {
		summary += " ..."
	}
	return badRequest("the object provided is unrecognized (must be of type %s): %s (%s)", kind, why, summary)
}

// acceptsJSON reports whether a client takes JSON for an answer, among others.
func acceptsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		// A parameter asks for another form, such as a table, which clients
		// list before the plain one.
		switch media, params, _ := mime.ParseMediaType(part); {
		case params["as"] != "":
		case media == mediaJSON, media == "application/*", media == "*/*":
			return true
		}
	}
	return false
}

// Package httpjson answers requests with JSON: in one piece, without a newline at its end.
package httpjson

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Write answers with a document, of application/json unless the header has another type.
func Write(w http.ResponseWriter, status int, document any) {
	body, err := json.Marshal(document)
	if err != nil { // the documents are structs and maps of text
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client is gone
}

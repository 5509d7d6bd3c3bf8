// Package aadsts is the catalogue of Entra ID's refusals: for every AADSTS code
// the OAuth error, the HTTP status and the exact text that a client gets, and,
// for the journal, what it means and what to change. It decides nothing; see
// entra.
//
// The catalogue is data ([Catalogue], [Lookup]). A refusal is made by the
// constructor of its case, which fills the text; [Error.Reply] is its JSON.
//
// Where the texts come from: replies recorded from Entra ID, error reports, the
// error code reference (MicrosoftDocs/entra-docs,
// docs/identity-platform/reference-error-codes.md) and client sources. Each
// entry names its source and how sure it is.
package aadsts

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Confidence says how well a fact about Entra ID is known.
type Confidence string

// The grades, best first.
const (
	Seen       Confidence = "seen"       // in a recorded reply or a log
	Documented Confidence = "documented" // by Microsoft; the text may differ in life
	Inferred   Confidence = "inferred"   // from its neighbours; status, error or text may differ in life
)

// Entry is what the catalogue knows about one code.
type Entry struct {
	Code       int        `json:"code"`
	OAuth      string     `json:"error"`           // RFC 6749 §5.2, and some of Entra's own
	Status     int        `json:"status"`          // HTTP
	Text       string     `json:"text"`            // with {placeholders}
	URI        bool       `json:"errorUri"`        // whether the reply carries error_uri: Entra has a page for the code
	Meaning    string     `json:"meaning"`         // in one or two sentences
	Remedy     string     `json:"remedy"`          // what to look at and change
	Source     string     `json:"source"`          // of code and text
	Confidence Confidence `json:"confidence"`      // of code, text and status
	NotEmitted string     `json:"never,omitempty"` // why wiemu's token service never answers with it; empty if it can
}

// Telemetry is the header x-ms-clitelem that MSAL clients get with the code:
// version, error code, suberror code, and two measures that are empty without a
// broker. Code 0 is that of a granted request.
func Telemetry(code int) string { return "1," + strconv.Itoa(code) + ",0,," }

// catalogue is the file with the entries, in the form of wiemu errors -o json and in the order in
// which Entra ID's checks can give them. Of the errors and statuses: invalid_client is 401 everywhere
// since October 2023; nearly everything else is 400. A code that no constructor makes says in never
// why not: it is here because real clients meet it.
//
//go:embed catalogue.json
var catalogue []byte

var entries = sync.OnceValue(func() (all []Entry) {
	if err := json.Unmarshal(catalogue, &all); err != nil {
		panic(fmt.Sprintf("aadsts: catalogue.json: %v", err)) // a mistake in this package
	}
	return all
})

// Catalogue returns every entry. The slice is the caller's.
func Catalogue() []Entry { return slices.Clone(entries()) }

// Lookup returns the entry of a code.
func Lookup(code int) (Entry, bool) {
	for _, e := range entries() {
		if e.Code == code {
			return e, true
		}
	}
	return Entry{}, false
}

package validate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// export collects what az printed, file by file. Which identity has which credential is known
// only when all files have been read.
type export struct {
	records []record
	listed  []string // client ids of files that list all the credentials of one

	see func(file, field string, object json.RawMessage) (taken bool, err error) // see ReadExports; nil: nothing is taken
}

// record is one object of Microsoft Graph or Resource Manager, with the fields of
// all that az prints: applications, service principals, managed identities and
// federated credentials.
type record struct {
	file, field string
	owner       string // client id, from the file's name
	application string // object id, from @odata.context

	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	AppID       string `json:"appId"`

	// Of a service principal.
	AccountEnabled   *bool    `json:"accountEnabled"`
	AlternativeNames []string `json:"alternativeNames"`

	// Of a managed identity.
	ClientID    string `json:"clientId"`
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"`

	// Of a federated credential.
	Issuer     string   `json:"issuer"`
	Subject    string   `json:"subject"`
	Audiences  []string `json:"audiences"`
	Expression *struct {
		Value string `json:"value"`
	} `json:"claimsMatchingExpression"`

	Credentials *[]record `json:"federatedIdentityCredentials"` // Graph: $expand
	Properties  *record   `json:"properties"`                   // az rest prints Resource Manager's objects as they come
	Failure     *failure  `json:"error"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func exportProblem(file, field, expected, found, fix string) error {
	return yamlfile.Problems{{File: file, Field: field, Expected: expected, Found: found, Fix: fix}}
}

// read reads the JSON values of a file: lists, single objects, or Graph's and
// Resource Manager's pages, one after another.
func (e *export) read(file string, data []byte) error {
	owner, err := workload.ParseClientID(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	if err != nil {
		owner = ""
	} else {
		e.listed = append(e.listed, owner)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // PowerShell's > writes it
	values := json.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		var value json.RawMessage
		switch err := values.Decode(&value); {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case errors.Is(err, io.EOF):
			return exportProblem(file, "", "the JSON that az prints", "an empty file", "export it again, or remove the file: az writes errors elsewhere, and knows the federated credentials of a managed identity under az identity only")
		case err != nil:
			return exportProblem(file, "", "the JSON that az prints", fmt.Sprintf("%v at byte %d", err, values.InputOffset()), "export it with -o json")
		}
		if err := e.value(file, owner, value); err != nil {
			return err
		}
	}
}

var contextApplication = lazyregexp.New(`#applications\('([^']+)'\)/federatedIdentityCredentials`)

func (e *export) value(file, owner string, value json.RawMessage) error {
	template, elements, field := record{file: file, owner: owner}, []json.RawMessage{value}, ""
	var page struct {
		Context  string            `json:"@odata.context"`
		Value    []json.RawMessage `json:"value"`
		GraphEnd string            `json:"@odata.nextLink"`
		ARMEnd   string            `json:"nextLink"`
		Rows     []json.RawMessage `json:"data"`       // Resource Graph
		RowsEnd  string            `json:"skip_token"` // the same, in az graph query
		RestEnd  string            `json:"$skipToken"` // the same, in az rest
	}
	switch {
	case bytes.HasPrefix(value, []byte("[")):
		if err := json.Unmarshal(value, &elements); err != nil {
			return exportProblem(file, "", "a list", err.Error(), "")
		}
	case json.Unmarshal(value, &page) == nil && page.Value != nil:
		if next := page.GraphEnd + page.ARMEnd; next != "" {
			return exportProblem(file, "nextLink", "everything", "the first page only", "ask for the rest, too (az rest --url '"+next+"'), and take the nextLink out of this file")
		}
		elements, field = page.Value, "value"
		if m := contextApplication().FindStringSubmatch(page.Context); m != nil {
			template.application = m[1]
		}
	case e.see != nil && page.Rows != nil:
		if page.RowsEnd+page.RestEnd != "" {
			return exportProblem(file, "skip_token", "everything", "the first rows only", "ask for the rest, too (az graph query --first 1000 --skip-token TOKEN), and take the skip_token out of this file")
		}
		elements, field = page.Rows, "data"
	default:
		r := template
		return e.element(r, value)
	}
	for i, element := range elements {
		r := template
		r.field = fmt.Sprintf("%s[%d]", field, i)
		if err := e.element(r, element); err != nil {
			return err
		}
	}
	return nil
}

func (e *export) element(r record, data json.RawMessage) error {
	if e.see != nil {
		if taken, err := e.see(r.file, r.field, data); taken || err != nil {
			return err
		}
	}
	if err := r.decode(data); err != nil {
		return err
	}
	if r.Failure != nil {
		return exportProblem(r.file, yamlfile.Join(r.field, "error"), "what az prints when it succeeds", r.Failure.Code+": "+r.Failure.Message, "export it again")
	}
	if r.AppID == "" && r.ClientID == "" && r.Issuer == "" {
		return exportProblem(r.file, r.field, "an application, service principal, managed identity or federated credential, as az prints it", "an object without appId, clientId and issuer",
			"export it as wiemu validate --help shows")
	}
	e.records = append(e.records, r)
	return nil
}

// decode fills the record. az puts what Resource Manager has below properties
// beside the other fields.
func (r *record) decode(data json.RawMessage) error {
	if err := json.Unmarshal(data, r); err != nil {
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) {
			return exportProblem(r.file, r.field, "an object", err.Error(), "")
		}
		field := r.field
		if wrong.Field != "" {
			field = strings.TrimPrefix(field+"."+wrong.Field, ".")
		}
		return exportProblem(r.file, field, expectedJSON(wrong.Type), "a JSON "+wrong.Value, "export it again; nobody but az writes these files")
	}
	if p := r.Properties; p != nil {
		for _, f := range []struct{ to, from *string }{
			{&r.ClientID, &p.ClientID},
			{&r.TenantID, &p.TenantID},
			{&r.PrincipalID, &p.PrincipalID},
			{&r.Issuer, &p.Issuer},
			{&r.Subject, &p.Subject},
		} {
			*f.to = cmp.Or(*f.to, *f.from)
		}
		r.Audiences = append(r.Audiences, p.Audiences...)
	}
	return nil
}

func expectedJSON(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

func (r *record) credential() directory.FederatedCredential {
	c := directory.FederatedCredential{ID: r.ID, Name: r.Name, Issuer: r.Issuer, Subject: r.Subject}
	if len(r.Audiences) > 0 { // Entra ID: exactly one
		c.Audience = r.Audiences[0]
	}
	return c
}

const identityPath = "/providers/microsoft.managedidentity/userassignedidentities/"

// resource is the resource id of the managed identity that an id leads to or below.
func resource(id string) string {
	at := strings.Index(strings.ToLower(id), identityPath)
	if at < 0 {
		return ""
	}
	name, _, _ := strings.Cut(id[at+len(identityPath):], "/")
	return id[:at+len(identityPath)] + name
}

func (e *export) directory() (*Directory, error) {
	d := &Directory{Domains: map[string]string{}}
	holders := map[string]*Holder{} // by client id, resource id and object id
	holder := func(clientID string) *Holder {
		clientID = strings.ToLower(clientID)
		h := holders[clientID]
		if h == nil {
			h = &Holder{ClientID: clientID}
			d.Holders, holders[clientID] = append(d.Holders, h), h
		}
		return h
	}
	for _, id := range e.listed {
		holder(id).Known = true
	}
	for i := range e.records {
		r := &e.records[i]
		clientID := cmp.Or(r.AppID, r.ClientID)
		if clientID == "" {
			continue
		}
		h := holder(clientID)
		h.describe(r)
		for _, id := range []string{h.ResourceID, r.ID} {
			if id != "" {
				holders[strings.ToLower(id)] = h
			}
		}
		if r.Credentials != nil {
			h.Known = true
			for j := range *r.Credentials {
				h.add(&(*r.Credentials)[j])
			}
		}
	}
	for i := range e.records {
		r := &e.records[i]
		if cmp.Or(r.AppID, r.ClientID) != "" {
			continue
		}
		of := cmp.Or(r.owner, r.application, resource(r.ID))
		h := holders[strings.ToLower(of)]
		switch {
		case of == "":
			return nil, exportProblem(r.file, r.field, "a federated credential whose owner is known", "one whose application no file names",
				"name the file after the application's client id: CLIENT_ID.json")
		case h == nil:
			return nil, exportProblem(r.file, r.field, "a federated credential of an identity whose client id is known", of,
				"export the identities, too: az identity list -o json, or az ad app list -o json")
		}
		h.ResourceID = cmp.Or(h.ResourceID, resource(r.ID))
		h.Known = true
		h.add(r)
	}
	return d, nil
}

func (h *Holder) describe(r *record) {
	h.Name = cmp.Or(r.DisplayName, r.Name, h.Name)
	h.Tenant = cmp.Or(strings.ToLower(r.TenantID), h.Tenant)
	h.ResourceID = cmp.Or(resource(r.ID), h.ResourceID)
	for _, name := range r.AlternativeNames {
		h.ResourceID = cmp.Or(h.ResourceID, resource(name))
	}
	for _, id := range []string{r.PrincipalID, r.ID} {
		if id != "" && resource(id) == "" {
			h.ObjectIDs = append(h.ObjectIDs, strings.ToLower(id))
		}
	}
	if r.AccountEnabled != nil && !*r.AccountEnabled {
		h.Disabled = true
	}
}

// add adds a federated credential to the holder, unless another file had it.
func (h *Holder) add(r *record) {
	if r.Expression != nil && r.Expression.Value != "" {
		x := Expression{Name: r.Name, Issuer: r.Issuer, Value: r.Expression.Value}
		if !slices.Contains(h.Expressions, x) {
			h.Expressions = append(h.Expressions, x)
		}
		return
	}
	c := r.credential()
	if !slices.ContainsFunc(h.Credentials, func(f directory.FederatedCredential) bool {
		return f.Issuer == c.Issuer && f.Subject == c.Subject && strings.EqualFold(f.Name, c.Name)
	}) {
		h.Credentials = append(h.Credentials, c)
	}
}

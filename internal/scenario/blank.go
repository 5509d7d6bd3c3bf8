package scenario

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Blank is a scenario to begin with: a program runs in a workload, an hour goes
// by, and it runs again. It is green as it is, if the program is.
type Blank struct {
	File           string   // what it is called in its comments
	Namespace      string   // "": shop
	ServiceAccount string   // "": web-sa
	ClientID       string   // "": a new one
	Command        []string // none: wiemu-workload reads a secret
	Start          bool     // the program goes on running while time goes by
}

//go:embed blank.yaml.tmpl
var blankText string

// Text is the file, commented. The scenario's name is the file's.
func (b Blank) Text() ([]byte, error) {
	name, err := nameOf(b.File)
	if err != nil {
		return nil, err
	}
	t, err := template.New("blank").Parse(blankText)
	if err != nil {
		return nil, fmt.Errorf("draft a scenario: %w", err)
	}
	b.Namespace = cmp.Or(b.Namespace, "shop")
	b.ServiceAccount = cmp.Or(b.ServiceAccount, "web-sa")
	b.ClientID = cmp.Or(b.ClientID, uuid.NewString())
	command := b.Command
	if len(command) == 0 {
		command = []string{Program, "secret", "get", "mykeyvault", "mysecret"}
		if b.Start {
			command = slices.Insert(command, 1, "watch", "--every", "10m")
		}
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{
		"Name": name, "File": b.File, "Workload": strings.TrimSuffix(b.ServiceAccount, "-sa"), "Own": len(b.Command) > 0, "Start": b.Start,
		"Namespace": b.Namespace, "ServiceAccount": b.ServiceAccount, "ClientID": b.ClientID, "Command": flow(command),
	}); err != nil {
		return nil, fmt.Errorf("draft a scenario: %w", err)
	}
	if _, err := Parse(b.File, text.Bytes()); err != nil { // a namespace that is none, for example
		return nil, err
	}
	return text.Bytes(), nil
}

// nameOf is the name of the scenario in a file that is called after it.
func nameOf(file string) (string, error) {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if !scenarioName().MatchString(name) {
		return "", fmt.Errorf("name of the scenario: expected lower-case letters, digits and hyphens, such as wrong-subject, found %q", name)
	}
	return name, nil
}

// plainText is what YAML takes for text within a list without quotes.
var plainText = lazyregexp.New(`^(\.{0,2}/)?[A-Za-z][A-Za-z0-9./_-]*$`)

// flow writes texts as a YAML list on one line.
func flow(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		if quoted[i] = text; !plainText().MatchString(text) || text == "true" || text == "false" || text == "null" {
			quoted[i] = strconv.Quote(text) // a double-quoted text of YAML knows Go's escapes
		}
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// metadataName is the line with the name in a file of the library.
var metadataName = lazyregexp.New(`(?m)^metadata:\n  name: (\S+)$`)

// Copy returns a scenario file under the name of another one, comments and all.
func Copy(text []byte, file string) ([]byte, error) {
	name, err := nameOf(file)
	if err != nil {
		return nil, err
	}
	at := metadataName().FindSubmatchIndex(text)
	if at == nil {
		return nil, yamlfile.Problem{File: file, Expected: "the lines metadata: and name: below it", Found: "no such lines"}
	}
	return []byte(string(text[:at[2]]) + name + string(text[at[3]:])), nil
}

package scenario

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The scenarios that come with wiemu, which package scenarios embeds.
const libraryDir = "../../scenarios/library"

var library = os.DirFS(libraryDir)

// docs/library.md says what the library has.
func TestLibraryPage(t *testing.T) {
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	writeLibraryPage(&page, list)
	file := filepath.Join("..", "..", "docs", "library.md")
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), page.Bytes()) {
		t.Errorf("%s is not what the library has; go test ./internal/scenario -run TestLibraryPage -update writes it", file)
	}
}

// Each scenario says what somebody sees, why, and where it was reported; most are
// of bugs that somebody has reported.
func TestLibraryIsOfRealCases(t *testing.T) {
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	reported := 0
	for _, s := range list {
		if s.file != s.Metadata.Name+".yaml" {
			t.Errorf("%s: expected the name of the file, found %s", s.file, s.Metadata.Name)
		}
		if s.Description == "" || s.Cause == "" || len(s.Links) == 0 {
			t.Errorf("%s: expected a description, a cause and links", s.file)
		}
		if slices.ContainsFunc(s.Links, isReport) {
			reported++
		}
	}
	if len(list) < 40 || reported < 30 {
		t.Errorf("expected 40 scenarios, 30 of which were reported, found %d and %d", len(list), reported)
	}
}

// reportLink is an issue or a pull request.
var reportLink = regexp.MustCompile(`^https://github\.com/([^/]+/[^/]+)/(issues|pull)/(\d+)$`)

func isReport(link string) bool { return reportLink.MatchString(link) }

// errorCode is what somebody searches for who has met an error.
var errorCode = regexp.MustCompile(`\b(AADSTS|AKV)\d+\b`)

func writeLibraryPage(w io.Writer, list []Scenario) {
	fmt.Fprint(w, `# The library of cases

<!-- Generated: go test ./internal/scenario -run TestLibraryPage -update -->

What goes wrong with workload identities, as people have met it, each case as a scenario
that is built in: wiemu scenario run --run '^NAME$' plays it. Where the fault lies with the
program or its configuration, the scenario has the fixed form too. Each runs as processes,
in containers (--on compose) and in a cluster (--on kind), but for what is said of it.

| error | cases |
|---|---|
`)
	byCode := map[string][]string{}
	for _, s := range list {
		for _, code := range errorCode.FindAllString(s.Description, -1) {
			if link := "[" + s.Metadata.Name + "](#" + s.Metadata.Name + ")"; !slices.Contains(byCode[code], link) {
				byCode[code] = append(byCode[code], link)
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		fmt.Fprintf(w, "| %s | %s |\n", code, strings.Join(byCode[code], ", "))
	}
	for _, s := range list {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n**Cause:** %s\n\n", s.Metadata.Name, escape(s.Description), escape(s.Cause))
		shown := []string{fmt.Sprintf("[the scenario](../scenarios/library/%s)", s.file)}
		for _, link := range s.Links {
			shown = append(shown, fmt.Sprintf("[%s](%s)", label(link), link))
		}
		fmt.Fprintln(w, strings.Join(shown, " · "))
		for _, place := range Backends() {
			if why := s.UnsupportedReason(place); why != "" {
				fmt.Fprintf(w, "\nNot on %s: %s.\n", place, escape(why))
			}
		}
	}
}

// escape keeps what looks like markup to Markdown as it is written.
func escape(text string) string {
	return strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(strings.TrimSpace(text))
}

// label is a short name for a link.
func label(link string) string {
	if m := reportLink.FindStringSubmatch(link); m != nil {
		return m[1] + "#" + m[3]
	}
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	parts := strings.Split(strings.TrimSuffix(u.Path, "/"), "/")
	return u.Host + ": " + strings.TrimSuffix(parts[len(parts)-1], ".html")
}

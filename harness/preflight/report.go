package preflight

import (
	"fmt"
	"io"
	"strings"
)

// Write writes the report for a person.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	for _, v := range r.Workloads {
		fmt.Fprintf(&b, "%s  %s/%s", v.Name, v.Namespace, v.ServiceAccount)
		if v.ClientID != "" {
			fmt.Fprintf(&b, "  client id %s", v.ClientID)
		}
		if v.Place != "" {
			fmt.Fprintf(&b, "  (%s)", v.Place)
		}
		b.WriteString("\n")
		for _, t := range v.Trusted {
			fmt.Fprintf(&b, "  ✓ %s trusts %s\n", t.Credential, t.Issuer)
		}
		writeFindings(&b, v.Findings)
		b.WriteString("\n")
	}
	for _, i := range r.Identities {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace("client id "+i.ClientID+"  "+i.Name))
		writeFindings(&b, i.Findings)
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s, %s in %s\n", counted(r.Errors, "error"), counted(r.Warnings, "warning"), counted(len(r.Workloads), "workload"))
	_, err := io.WriteString(w, b.String())
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeFindings(b *strings.Builder, findings []Finding) {
	for _, f := range findings {
		mark, code := "✗", ""
		if f.Severity == Warning {
			mark = "!"
		}
		if f.Code != 0 {
			code = fmt.Sprintf(" (AADSTS%d)", f.Code)
		}
		fmt.Fprintf(b, "  %s %s: %s%s\n", mark, f.Kind, f.Text, code)
		if len(f.Differences) > 0 {
			fmt.Fprintf(b, "      nearest    %s\n", f.Credential)
		}
		for _, d := range f.Differences {
			fmt.Fprintf(b, "      %s differs (%s)\n        directory  %s\n        token      %s\n        why        %s\n", d.Field, d.Kind, d.Expected, d.Presented, d.Fix)
		}
		if f.Fix != "" {
			fmt.Fprintf(b, "      fix        %s\n", f.Fix)
		}
		if f.Command != "" {
			fmt.Fprintf(b, "\n%s\n\n", indented(f.Command))
		}
	}
}

// indented keeps a command of several lines one that can be pasted.
func indented(command string) string { return "  " + strings.ReplaceAll(command, "\n", "\n  ") }

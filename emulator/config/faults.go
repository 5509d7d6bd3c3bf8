package config

import (
	"cmp"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// CheckFault says what is wrong with a fault of a file; field is where it stands.
func CheckFault(file, field string, f fault.Fault, issuers []Issuer) yamlfile.Problems {
	names := []string{EntraRing} // whose keys faults may be about, too
	for _, i := range issuers {
		names = append(names, i.Name)
	}
	var found yamlfile.Problems
	for _, m := range f.Check(names) {
		found = append(found, yamlfile.Problem{File: file, Field: field + "." + m.Field, Expected: m.Expected, Found: cmp.Or(m.Found, "nothing"), Fix: m.Fix})
	}
	return found
}

package config

import (
	"fmt"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// CheckFaults says what is wrong with faults of a file; field is where the list
// stands.
func CheckFaults(file, field string, faults []fault.Fault, issuers []Issuer) yamlfile.Problems {
	names := []string{EntraRing} // whose keys faults may be about, too
	for _, i := range issuers {
		names = append(names, i.Name)
	}
	var found yamlfile.Problems
	for n, f := range faults {
		for _, m := range f.Check(names) {
			found = append(found, yamlfile.Problem{File: file, Field: fmt.Sprintf("%s[%d].%s", field, n, m.Field), Expected: m.Expected, Found: m.Found, Fix: m.Fix})
		}
	}
	return found
}

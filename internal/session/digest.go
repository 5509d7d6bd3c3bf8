package session

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
)

// digests returns a digest of each section of a completed configuration, without empty ones:
// equal configurations have equal digests. They cover the names of files, not their content.
func digests(c config.Config) (map[string]string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(text, &sections); err != nil {
		return nil, err
	}
	var resources map[string]json.RawMessage
	if err := json.Unmarshal([]byte(cmp.Or(string(sections["resources"]), "{}")), &resources); err != nil {
		return nil, err
	}
	delete(sections, "resources")
	maps.Copy(sections, resources)
	of := map[string]string{}
	for name, section := range sections {
		if name == "apiVersion" || name == "kind" {
			continue
		}
		sum := sha256.Sum256(section)
		of[name] = hex.EncodeToString(sum[:8])
	}
	return of, nil
}

// DifferencesFrom returns the names of the sections in which the files' wiemu.yaml differs
// from the configuration of a running lab, sorted. There are none if the files have no
// wiemu.yaml, or the lab does not tell its configuration.
func (f Files) DifferencesFrom(lab control.Status) []string {
	if f.ConfigFile == "" || lab.Configuration == nil {
		return nil
	}
	a, b, names := f.Digests(), lab.Configuration, map[string]bool{}
	for name, digest := range a {
		names[name] = b[name] != digest
	}
	for name, digest := range b {
		names[name] = a[name] != digest
	}
	maps.DeleteFunc(names, func(_ string, different bool) bool { return !different })
	return slices.Sorted(maps.Keys(names))
}

package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// Digests tells for each section of a completed configuration what it says, as a
// digest: two configurations that mean the same have the same digests. Sections
// that say nothing are left out. File names count, not what is in the files.
func (c Config) Digests() (map[string]string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(text, &sections); err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for name, section := range sections {
		if name == "apiVersion" || name == "kind" {
			continue
		}
		sum := sha256.Sum256(section)
		digests[name] = hex.EncodeToString(sum[:8])
	}
	return digests, nil
}

// DifferentSections are the names of the sections in which the digests of two
// configurations differ, sorted.
func DifferentSections(a, b map[string]string) []string {
	names := map[string]bool{}
	for name, digest := range a {
		names[name] = b[name] != digest
	}
	for name, digest := range b {
		names[name] = a[name] != digest
	}
	maps.DeleteFunc(names, func(_ string, different bool) bool { return !different })
	return slices.Sorted(maps.Keys(names))
}

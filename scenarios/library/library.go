// Package library holds the scenarios that come with wiemu, one file a case. It
// does not run them; see package scenarios.
package library

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var files embed.FS

// Files returns the scenario files, for scenarios.LoadFS.
func Files() fs.FS { return files }

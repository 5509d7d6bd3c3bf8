package session

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

const declareFilesPath = "/v1/workloads/files"

// GivenFile is a radixconfig.yaml, or a file of Kubernetes manifests.
type GivenFile struct {
	Name string `json:"name"` // by which problems name it; no such file is read
	Text string `json:"text"`
}

// DeclaredFiles says what was declared of files.
type DeclaredFiles struct {
	Workloads []workload.Spec `json:"workloads"`
	Warnings  []string        `json:"warnings,omitempty"` // about what was ignored
}

// declareFiles declares the workloads of files, as they are when a lab is started with them.
func (l *Session) declareFiles(r *http.Request) (any, error) {
	var given []GivenFile
	if err := controlapi.Decode(r, &given); err != nil {
		return nil, err
	}
	var files Files
	for n, f := range given {
		if f.Name == "" {
			return nil, fmt.Errorf("[%d].name: expected the name of the file, by which problems name it, found nothing", n)
		}
		added, err := files.addWorkloads(f.Name, []byte(f.Text))
		if err == nil && !added {
			err = checkConfigKind(f.Name, []byte(f.Text))
		}
		if err != nil {
			return nil, err
		}
		if !added {
			return nil, yamlfile.Problem{File: f.Name, Expected: "a radixconfig.yaml or Kubernetes manifests", Found: "a wiemu configuration, which decides how a lab starts", Fix: "start the server with it: wiemu serve -f " + f.Name}
		}
	}
	if err := files.declareManifests(); err != nil {
		return nil, err
	}
	done := DeclaredFiles{Workloads: files.Workloads()}
	for _, w := range files.Warnings {
		done.Warnings = append(done.Warnings, w.Error())
	}
	if len(done.Workloads) == 0 {
		return nil, errors.New("expected components, jobs or pods with an identity; the files have none")
	}
	return done, l.declareHere(done.Workloads)
}

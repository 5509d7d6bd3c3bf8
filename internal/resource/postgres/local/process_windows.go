package local

import (
	"errors"
	"io"
	"os"
	"os/exec"
)

func place() string { return "" }

func own(string) error { return nil }

func unprivileged(*exec.Cmd) {}

func fastShutdown(p *os.Process)      { _ = p.Kill() } // it may have ended
func immediateShutdown(p *os.Process) { _ = p.Kill() } // it may have ended

// reap refuses: nothing here has been run on Windows.
func reap(string) (io.Closer, error) {
	return nil, errors.New("on Windows wiemu starts none; name one that runs with url of the server")
}

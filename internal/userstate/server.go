package userstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/wiemu/wiemu/internal/file"
)

// Server tells other commands how to reach the running server.
type Server struct {
	PID   int    `json:"pid"`
	URL   string `json:"url"`   // of the control API
	Token string `json:"token"` // for the control API and the Kubernetes API
	Run   string `json:"run"`   // id of its run
}

const serverFile = "server.json"

// serverLock is locked while a server runs, however it ends.
const serverLock = "server.lock"

// Announce registers this process as the running server until withdraw is called. A
// state directory has one server at a time; a second one is an error.
func (d *Dir) Announce(s Server) (withdraw func() error, err error) {
	held, err := d.lockServer()
	if err != nil {
		return nil, err
	}
	s.PID = os.Getpid()
	data, err := json.Marshal(s)
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	if err := d.files.WriteFile(serverFile, data); err != nil {
		return nil, errors.Join(fmt.Errorf("announce the server: %w", err), held.Release())
	}
	return func() error { return errors.Join(d.files.Remove(serverFile), held.Release()) }, nil
}

// lockServer takes the lock, trying for a second (wall time): other commands hold it briefly.
func (d *Dir) lockServer() (*file.Lock, error) {
	for range 50 {
		held, err := d.files.TryLock(serverLock)
		switch {
		case err == nil:
			return held, nil
		case !errors.Is(err, file.ErrLocked):
			return nil, fmt.Errorf("announce the server: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	other, _, _ := d.read()
	return nil, fmt.Errorf("a server runs already (process %d); stop it, or give this one a state directory of its own with --state-dir", other.PID)
}

// Server returns the running server of this state directory; ok is false if there is none.
func (d *Dir) Server() (_ Server, ok bool, err error) {
	s, ok, err := d.read()
	if err != nil || !ok {
		return Server{}, false, err
	}
	probe, err := d.files.TryShare(serverLock)
	switch {
	case errors.Is(err, file.ErrLocked):
		return s, true, nil
	case err != nil:
		return Server{}, false, fmt.Errorf("look for a running server: %w", err)
	}
	return s, false, probe.Release() // what a killed server left is overwritten by the next
}

// read returns what the last server to start wrote.
func (d *Dir) read() (s Server, ok bool, err error) {
	data, err := d.files.ReadFile(serverFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Server{}, false, nil
	}
	if err != nil {
		return Server{}, false, fmt.Errorf("look for a running server: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return Server{}, false, fmt.Errorf("%s: expected what wiemu serve wrote: %w; remove the file", d.files.Path(serverFile), err)
	}
	return s, true, nil
}

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Server is how other commands reach a running server.
type Server struct {
	PID   int    `json:"pid"`
	URL   string `json:"url"`   // of the control door
	Token string `json:"token"` // of the control and cluster doors
	Run   string `json:"run"`   // its run's id
}

const serverFile = "server.json"

// serverLock is locked as long as a server runs; the system lets go of it
// however the server ends.
func (d *Dir) serverLock() (*os.File, error) {
	return d.files.OpenFile("server.lock", os.O_CREATE|os.O_RDWR)
}

// Announce lets other commands find this process as the running server until
// withdraw is called. One server at a time has a state directory.
func (d *Dir) Announce(s Server) (withdraw func() error, err error) {
	held, err := d.serverLock()
	if err != nil {
		return nil, fmt.Errorf("announce the server: %w", err)
	}
	if err := d.takeTurn(held); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	s.PID = os.Getpid()
	data, err := json.Marshal(s)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	if err := d.files.WriteFile(serverFile, data); err != nil {
		return nil, errors.Join(fmt.Errorf("announce the server: %w", err), held.Close())
	}
	return func() error { return errors.Join(d.files.Remove(serverFile), held.Close()) }, nil
}

// takeTurn takes the server's lock. Commands that look for a server hold it for
// a moment, so it tries for a second of wall time.
func (d *Dir) takeTurn(held *os.File) error {
	for range 50 {
		if taken, err := lock(held, true); taken || err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	other, _, _ := d.read()
	return fmt.Errorf("a server runs already (process %d); stop it, or give this one a state directory of its own with --state-dir", other.PID)
}

// Server returns the running server, if one has this state directory.
func (d *Dir) Server() (Server, bool, error) {
	s, there, err := d.read()
	if err != nil || !there {
		return Server{}, false, err
	}
	probe, err := d.serverLock()
	if err != nil {
		return Server{}, false, fmt.Errorf("look for a running server: %w", err)
	}
	defer probe.Close()
	free, err := lock(probe, false)
	if err != nil {
		return Server{}, false, fmt.Errorf("look for a running server: %w", err)
	}
	return s, !free, nil // what a killed server left is overwritten by the next
}

// read returns what the last server wrote of itself.
func (d *Dir) read() (s Server, there bool, err error) {
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

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/servedir"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
)

// SessionOptions say what a session is made of.
type SessionOptions struct {
	State *userstate.Dir // for its files, its journal, and keys generated ahead
	Files session.Files  // what they describe is in the session's lab

	Record *recording.Options // if not nil, the session is recorded
	Dir    *servedir.Dir      // if not nil, files and addresses are those of its last session

	// Control adds paths to the control API. If nil, it adds none.
	Control func(*controlapi.Server)

	Log     *slog.Logger
	OnError func(error) // receives what goes wrong in the background; see session.Options
}

// Session is a lab of this process in which programs run as workloads, on a user's machine:
// it keeps its journal for wiemu explain, and can be recorded.
type Session struct {
	*session.Session

	Recorder *recording.Recorder // nil if the session is not recorded

	// KeepJournal keeps the journal when the session is closed, even if there is nothing
	// in it to explain.
	KeepJournal bool

	run  *userstate.Run
	keys *keyring.Pool
}

// OpenSession starts a session with everything that the files describe. Close it.
func OpenSession(ctx context.Context, o SessionOptions) (_ *Session, err error) {
	s := &Session{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(ctx))
		}
	}()
	if s.keys, err = keyring.OpenPool(o.State.KeyDir(), keyring.PoolOptions{}); err != nil {
		return nil, err
	}
	if s.run, err = o.State.NewRun(); err != nil {
		return nil, err
	}
	opts := session.Options{
		Emulator: server.Options{Config: o.Files.Configuration(), Digests: o.Files.Digests()},
		Dir:      s.run.Dir,
		// With hosts outside, those that the caller trusts are trusted, too.
		Bundle:  ca.BundleOptions{SystemRoots: len(o.Files.Config.AllowHosts) > 0, RootsFile: callersRoots()},
		OnError: o.OnError,
	}
	e := &opts.Emulator
	e.ConfigFile, e.StateDir, e.Keys, e.JournalFile, e.Log = o.Files.ConfigFile, o.State.Path(), s.keys, s.run.Journal, o.Log
	e.Control = o.Control
	if o.Dir != nil {
		o.Dir.Apply(&opts)
	}
	if o.Record != nil {
		s.Session, s.Recorder, err = recording.Start(ctx, opts, o.Files.Workloads(), *o.Record)
	} else if s.Session, err = session.Start(ctx, opts); err == nil {
		err = s.Declare(o.Files.Workloads())
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// callersRoots returns the file with the roots that the caller trusts, or "" if there is
// none.
func callersRoots() string {
	file := os.Getenv("SSL_CERT_FILE")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// RunID is the id of the session among those whose journals the state directory has.
func (s *Session) RunID() string { return s.run.ID }

// shutdownTimeout bounds how long (wall time) closing a session waits for requests in
// progress.
const shutdownTimeout = 3 * time.Second

// Close ends the session, even if ctx has ended. The error is what could not be cleaned up.
func (s *Session) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	var errs []error
	keepJournal := false // of a session that did not start there is nothing to explain
	if s.Session != nil {
		_, refused := explain.Find(s.Journal().Events(), "")
		keepJournal = refused || s.KeepJournal
		errs = append(errs, s.Session.Close(ctx))
	}
	if s.run != nil {
		errs = append(errs, s.run.Close(keepJournal))
	}
	if s.keys != nil {
		errs = append(errs, s.keys.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("while cleaning up: %w", err)
	}
	return nil
}

package projection

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// subject returns what a fault selects the volume by.
func (v *Volume) subject() faults.Subject { return faults.Subject{Workload: v.opts.Workload} }

// watch lays the file out again, and schedules renewals again, when their faults change.
func (v *Volume) watch() (stop func()) {
	file := v.opts.Faults.Watch(faultkind.AtTokenFile, v.subject(), v.onFileFault)
	renewal := v.opts.Faults.Watch(faultkind.AtRenewal, v.subject(), v.onRenewalFault)
	return func() {
		file()
		renewal()
	}
}

func (v *Volume) onFileFault() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.token.Raw == "" {
		return
	}
	if err := v.lay("a fault came or went"); err != nil && v.opts.OnError != nil {
		v.opts.OnError(err)
	}
}

func (v *Volume) onRenewalFault() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.token.Raw == "" {
		return
	}
	v.leftOut = time.Time{}
	v.endGap()
	v.schedule()
}

// A layout is what is on disk: what readers find, and the file's mode and content.
type layout struct {
	view view
	mode fs.FileMode
	data []byte
}

// layout returns the layout of the token under a fault.
func (v *Volume) layout(hit faults.Hit) layout {
	l := layout{linked, v.opts.Mode, []byte(v.token.Raw)}
	switch hit.Name() {
	case faultkind.TokenFileMissing:
		l.view = absent
	case faultkind.TokenFileEmpty:
		l.data = nil
	case faultkind.TokenFileTruncated:
		l.data = l.data[:min(hit.Int("bytes"), len(l.data))]
	case faultkind.TokenFileUnreadable:
		if how := hit.Text("how"); how == "directory" || how == "auto" && modesDoNotCount() {
			l.view = directory
		} else {
			l.mode = 0
		}
	case faultkind.SubPathMount:
		l.view = mounted
	}
	return l
}

// modesDoNotCount reports whether programs can read files of mode 000: those of root
// can, and on Windows, where the id is -1, the mode does not restrict reading.
func modesDoNotCount() bool { return os.Geteuid() <= 0 }

// leaveOut reports whether a fault skips a renewal that is due. The next renewal is then
// not due before the skipped token would have been renewed.
func (v *Volume) leaveOut(reason string, now time.Time) bool {
	hit, ok := v.opts.Faults.HitBy(faultkind.TokenNotRotated, v.subject(), nil)
	if !ok {
		return false
	}
	_, due := refreshTimes(v.token)
	v.leftOut = now.Add(min(due.Sub(v.token.IssuedAt), maxAge))
	v.tell(fmt.Sprintf("token file%s is not renewed although it is due: %s", v.of(), reason), reason, hit)
	return true
}

// gap removes the file for a while, if a fault wants that at this renewal.
func (v *Volume) gap() error {
	hit, ok := v.opts.Faults.HitBy(faultkind.TokenFileDeletedDuringSwap, v.subject(), nil)
	if !ok || v.shown != linked {
		return nil
	}
	window := hit.Duration("window")
	if _, err := v.files.setView(absent); err != nil {
		return err
	}
	v.tell(fmt.Sprintf("token file%s is gone for %v while it is replaced", v.of(), window), "swap", hit)
	v.gone = v.clock.AfterFunc(window, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.endGap()
	})
	return nil
}

// endGap restores the file that a gap removed; v.mu is held.
func (v *Volume) endGap() {
	if v.gone == nil {
		return
	}
	v.gone.Stop()
	v.gone = nil
	if v.closed {
		return
	}
	if err := v.lay("swapped"); err != nil && v.opts.OnError != nil {
		v.opts.OnError(err)
	}
}

// tell journals what a fault has done to the file.
func (v *Volume) tell(summary, reason string, hit faults.Hit) {
	e := v.event(reason)
	e.Outcome, e.Summary = journal.Failed, summary
	e.Meaning, e.Remedy = advice(hit.Name())
	hit.Note(&e)
	v.opts.Journal.Record(e)
}

// looks describes what readers find because of a fault.
func (v *Volume) looks(hit faults.Hit, l layout) string {
	is := ""
	switch hit.Name() {
	case faultkind.TokenFileMissing:
		is = "is missing"
	case faultkind.TokenFileEmpty:
		is = "is empty"
	case faultkind.TokenFileTruncated:
		is = fmt.Sprintf("holds the first %d bytes of the token", len(l.data))
	case faultkind.TokenFileUnreadable:
		is = "cannot be read: its mode is 000"
		if l.view == directory {
			is = "cannot be read: there is a directory in its place"
		}
	case faultkind.SubPathMount:
		is = "is as it was when it was mounted"
		if v.seen.ID != v.token.ID {
			is += ", with a token that ends at " + v.seen.ExpiresAt.Format(time.RFC3339)
		}
	}
	return "token file" + v.of() + " " + is
}

// advice returns what a fault of the file means to an application, and what helps.
func advice(name string) (meaning, remedy string) {
	const again = " A program that reads the file again at its next attempt heals by itself."
	switch name {
	case faultkind.TokenFileMissing:
		return "AZURE_FEDERATED_TOKEN_FILE names a file that is not there: the variables and the volume do not come from the same injection, or the volume is mounted elsewhere.",
			"Compare the volume mounts of the pod with the variable, and let one of the two, webhook or manifest, make both." + again
	case faultkind.TokenFileEmpty, faultkind.TokenFileTruncated:
		return "What the file holds is no token. A kubelet writes whole tokens; sidecars and scripts that fill the file themselves may not.",
			"Write a new file beside it and rename." + again
	case faultkind.TokenFileUnreadable:
		return "The program's user may not read the file.",
			"Set fsGroup or runAsUser of the pod: a kubelet gives the file to them."
	case faultkind.SubPathMount:
		return "A subPath mount is of one file and does not follow the volume: the program goes on seeing the first token, which expires.",
			"Mount the volume as a directory, without subPath."
	case faultkind.TokenNotRotated:
		return "The kubelet did not renew the token in time: it cannot reach the API server, or is not running, or a token was put there by hand.",
			"Look at the kubelet of the node. Nothing in the application helps but saying so."
	case faultkind.TokenFileDeletedDuringSwap:
		return "Whoever replaces the file deletes the old one first, so that for a moment there is none.",
			"Write a new file beside it and rename." + again
	}
	return "", ""
}

// early is when a fault wants a token renewed. If zero, not before it is due.
type early struct {
	at  time.Time
	hit faults.Hit
}

// askEarly asks, for a token that was just fetched, when a fault wants it renewed.
func (v *Volume) askEarly() early {
	h, hit := v.opts.Faults.HitBy(faultkind.TokenRenewedEarly, v.subject(), nil)
	if !hit {
		return early{}
	}
	return early{v.clock.Now().Add(h.Duration("after")), h}
}

func (v *Volume) hasEarly(at time.Time) bool { return !v.early.at.IsZero() && !at.Before(v.early.at) }

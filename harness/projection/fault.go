package projection

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// subject is what the volume is for those who select faults.
func (v *Volume) subject() fault.Subject { return fault.Subject{Workload: v.opts.Workload} }

// watch has the file laid out anew, and renewals planned anew, when faults of
// them come and go.
func (v *Volume) watch() (stop func()) {
	file := v.opts.Faults.Watch(fault.AtTokenFile, v.subject(), v.onFileFault)
	renewal := v.opts.Faults.Watch(fault.AtRenewal, v.subject(), v.onRenewalFault)
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

// A layout is how a token file is laid out.
type layout struct {
	guise guise
	mode  fs.FileMode
	data  []byte
}

// layout is that of the token, as a fault has it.
func (v *Volume) layout(hit fault.Hit) layout {
	l := layout{linked, v.opts.Mode, []byte(v.token.Raw)}
	switch hit.Name() {
	case fault.TokenFileMissing:
		l.guise = absent
	case fault.TokenFileEmpty:
		l.data = nil
	case fault.TokenFileTruncated:
		l.data = l.data[:min(hit.Int("bytes"), len(l.data))]
	case fault.TokenFileUnreadable:
		if how := hit.Text("how"); how == "directory" || how == "auto" && modesDoNotCount() {
			l.guise = directory
		} else {
			l.mode = 0
		}
	case fault.SubPathMount:
		l.guise = mounted
	}
	return l
}

// modesDoNotCount reports whether programs read files of mode 000: those of root
// do, and on Windows, where the id is -1, a mode says nothing of reading.
func modesDoNotCount() bool { return os.Geteuid() <= 0 }

// leaveOut asks whether a renewal that is due is left out. It is not looked at
// again before the token that was not fetched would have been renewed.
func (v *Volume) leaveOut(reason string, now time.Time) bool {
	hit, is := v.opts.Faults.HitBy(fault.TokenNotRotated, v.subject(), nil)
	if !is {
		return false
	}
	_, due := refreshTimes(v.token)
	v.leftOut = now.Add(min(due.Sub(v.token.IssuedAt), maxAge))
	v.tell(fmt.Sprintf("token file%s is not renewed although it is due: %s", v.of(), reason), reason, hit)
	return true
}

// gap takes the file away for a while, at a renewal that goes wrong so.
func (v *Volume) gap() error {
	hit, is := v.opts.Faults.HitBy(fault.TokenFileDeletedDuringSwap, v.subject(), nil)
	if !is || v.shown != linked {
		return nil
	}
	window := hit.Duration("window")
	if _, err := v.files.wear(absent); err != nil {
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

// endGap brings the file back that a gap took away; v.mu is held.
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
func (v *Volume) tell(summary, reason string, hit fault.Hit) {
	e := v.event(reason)
	e.Outcome, e.Summary = journal.Failed, summary
	e.Meaning, e.Remedy = advice(hit.Name())
	hit.Note(&e)
	v.opts.Journal.Record(e)
}

// looks says what readers find because of a fault.
func (v *Volume) looks(hit fault.Hit, l layout) string {
	is := ""
	switch hit.Name() {
	case fault.TokenFileMissing:
		is = "is missing"
	case fault.TokenFileEmpty:
		is = "is empty"
	case fault.TokenFileTruncated:
		is = fmt.Sprintf("holds the first %d bytes of the token", len(l.data))
	case fault.TokenFileUnreadable:
		is = "cannot be read: its mode is 000"
		if l.guise == directory {
			is = "cannot be read: there is a directory in its place"
		}
	case fault.SubPathMount:
		is = "is as it was when it was mounted"
		if v.seen.ID != v.token.ID {
			is += ", with a token that ends at " + v.seen.ExpiresAt.Format(time.RFC3339)
		}
	}
	return "token file" + v.of() + " " + is
}

// advice is what a fault of the file means to an application, and what helps.
func advice(name string) (meaning, remedy string) {
	const again = " A program that reads the file again at its next attempt heals by itself."
	switch name {
	case fault.TokenFileMissing:
		return "AZURE_FEDERATED_TOKEN_FILE names a file that is not there: the variables and the volume do not come from the same injection, or the volume is mounted elsewhere.",
			"Compare the volume mounts of the pod with the variable, and let one of the two, webhook or manifest, make both." + again
	case fault.TokenFileEmpty, fault.TokenFileTruncated:
		return "What the file holds is no token. A kubelet writes whole tokens; sidecars and scripts that fill the file themselves may not.",
			"Write a new file beside it and rename." + again
	case fault.TokenFileUnreadable:
		return "The program's user may not read the file.",
			"Set fsGroup or runAsUser of the pod: a kubelet gives the file to them."
	case fault.SubPathMount:
		return "A subPath mount is of one file and does not follow the volume: the program goes on seeing the first token, which expires.",
			"Mount the volume as a directory, without subPath."
	case fault.TokenNotRotated:
		return "The kubelet did not renew the token in time: it cannot reach the API server, or is not running, or a token was put there by hand.",
			"Look at the kubelet of the node. Nothing in the application helps but saying so."
	case fault.TokenFileDeletedDuringSwap:
		return "Whoever replaces the file deletes the old one first, so that for a moment there is none.",
			"Write a new file beside it and rename." + again
	}
	return "", ""
}

// early is when a fault wants a token renewed; the zero time: not before it is due.
type early struct {
	at  time.Time
	hit fault.Hit
}

// askEarly asks, for a token that was just fetched, when a fault wants it renewed.
func (v *Volume) askEarly() early {
	h, hit := v.opts.Faults.HitBy(fault.TokenRenewedEarly, v.subject(), nil)
	if !hit {
		return early{}
	}
	return early{v.clock.Now().Add(h.Duration("after")), h}
}

func (v *Volume) hasEarly(at time.Time) bool { return !v.early.at.IsZero() && !at.Before(v.early.at) }

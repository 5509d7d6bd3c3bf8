package blobs

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// lease is a lock on a container or blob, on the lab clock. Documented: Lease Blob and
// Lease Container, with their tables of what comes of each action in each state.
type lease struct {
	id       string
	duration time.Duration // 0 for one without end
	until    time.Time     // of one with a duration
	broken   time.Time     // when a lease that was broken ends; zero if none did
}

func (l *lease) state(now time.Time) string {
	switch {
	case l.id == "":
		return "available"
	case !l.broken.IsZero() && now.Before(l.broken):
		return "breaking"
	case !l.broken.IsZero():
		return "broken"
	case l.duration > 0 && !now.Before(l.until):
		return "expired"
	}
	return "leased"
}

func (l *lease) locked(now time.Time) bool {
	state := l.state(now)
	return state == "leased" || state == "breaking"
}

func (l *lease) status(now time.Time) string {
	if l.locked(now) {
		return "locked"
	}
	return "unlocked"
}

// length is how long the lease is, as properties say it; "" if it is not leased.
func (l *lease) length(now time.Time) string {
	switch {
	case l.state(now) != "leased":
		return ""
	case l.duration == 0:
		return "infinite"
	}
	return "fixed"
}

func (l *lease) describe(h http.Header, now time.Time) {
	h.Set("x-ms-lease-state", l.state(now))
	h.Set("x-ms-lease-status", l.status(now))
	if length := l.length(now); length != "" {
		h.Set("x-ms-lease-duration", length)
	}
}

// check says why the lease keeps a request from what it is on. of is Blob or Container;
// only writes want the id of the lease.
func (l *lease) check(c *call, of string, write bool) *storage.Error {
	noun, id := strings.ToLower(of), c.r.Header.Get("x-ms-lease-id")
	locked, same := l.locked(c.now), strings.EqualFold(id, l.id)
	switch {
	case locked && write && id == "":
		return rest.Fail(http.StatusPreconditionFailed, "LeaseIdMissing", "There is currently a lease on the "+noun+" and no lease ID was specified in the request.")
	case id != "" && l.id == "":
		return rest.Fail(http.StatusPreconditionFailed, "LeaseNotPresentWith"+of+"Operation", "There is currently no lease on the "+noun+".")
	case id != "" && !same:
		return rest.Fail(http.StatusPreconditionFailed, "LeaseIdMismatchWith"+of+"Operation", "The lease ID specified did not match the lease ID for the "+noun+".")
	case id != "" && !locked:
		return rest.Fail(http.StatusPreconditionFailed, "LeaseLost", "A lease ID was specified, but the lease for the "+noun+" has expired.")
	}
	return nil
}

// written forgets a lease that is over, once something was written. Documented: Lease Blob (one
// that has expired can be renewed until the blob is modified or leased again).
func (l *lease) written(now time.Time) {
	if !l.locked(now) {
		*l = lease{}
	}
}

// act answers Lease Blob and Lease Container. of is blob or container.
func (l *lease) act(c *call, v version, of string) (answer, *storage.Error) {
	if failed := c.conditions(&v); failed != nil {
		return answer{}, failed
	}
	h := c.r.Header
	id, proposed := h.Get("x-ms-lease-id"), strings.ToLower(h.Get("x-ms-proposed-lease-id"))
	if proposed != "" && uuid.Validate(proposed) != nil {
		return answer{}, rest.BadHeader()
	}
	var status int
	var failed *storage.Error
	switch action := strings.ToLower(h.Get("x-ms-lease-action")); {
	case action == "":
		return answer{}, missingHeader()
	case action == "acquire":
		status, failed = http.StatusCreated, l.acquire(h, proposed, c.now)
	case action == "break":
		status, failed = http.StatusAccepted, l.end(h, c, of)
	case id == "":
		return answer{}, missingHeader()
	case action == "renew":
		status, failed = http.StatusOK, l.renew(id, c.now, of)
	case action == "change":
		status, failed = http.StatusOK, l.change(id, proposed, c.now, of)
	case action == "release":
		status = http.StatusOK
		if failed = l.mismatch(id, of); failed == nil {
			*l = lease{}
		}
	default:
		return answer{}, rest.BadHeader()
	}
	if failed != nil {
		return answer{}, failed
	}
	if l.id != "" && status != http.StatusAccepted {
		c.w.Header().Set("x-ms-lease-id", l.id)
	}
	c.stamp(v)
	return c.empty(status)
}

func (l *lease) mismatch(id, of string) *storage.Error {
	if l.id == "" || !strings.EqualFold(id, l.id) {
		return rest.Fail(http.StatusConflict, "LeaseIdMismatchWithLeaseOperation", "The lease ID specified did not match the lease ID for the "+of+".")
	}
	return nil
}

func notLeased(of string) *storage.Error {
	return rest.Fail(http.StatusConflict, "LeaseNotPresentWithLeaseOperation", "There is currently no lease on the "+of+".")
}

func (l *lease) acquire(h http.Header, proposed string, now time.Time) *storage.Error {
	text := h.Get("x-ms-lease-duration")
	if text == "" {
		return missingHeader()
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds != -1 && (seconds < 15 || seconds > 60) {
		return rest.BadHeader()
	}
	if l.locked(now) {
		switch {
		case proposed != l.id:
			return rest.Fail(http.StatusConflict, "LeaseAlreadyPresent", "There is already a lease present.")
		case l.state(now) == "breaking":
			return rest.Fail(http.StatusConflict, "LeaseIsBreakingAndCannotBeAcquired", "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.")
		}
	}
	*l = lease{id: cmp.Or(proposed, uuid.NewString())}
	if seconds > 0 {
		l.duration = time.Duration(seconds) * time.Second
		l.until = now.Add(l.duration)
	}
	return nil
}

func (l *lease) renew(id string, now time.Time, of string) *storage.Error {
	if failed := l.mismatch(id, of); failed != nil {
		return failed
	}
	if !l.broken.IsZero() {
		return rest.Fail(http.StatusConflict, "LeaseIsBrokenAndCannotBeRenewed", "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.")
	}
	l.until = now.Add(l.duration)
	return nil
}

func (l *lease) change(id, proposed string, now time.Time, of string) *storage.Error {
	switch {
	case proposed == "":
		return missingHeader()
	case !l.locked(now):
		return notLeased(of)
	case l.state(now) == "breaking" && strings.EqualFold(id, l.id):
		return rest.Fail(http.StatusConflict, "LeaseIsBreakingAndCannotBeChanged", "The lease ID matched, but the lease is currently in breaking state and cannot be changed.")
	case proposed != l.id: // one that has been changed already stays so
		if failed := l.mismatch(id, of); failed != nil {
			return failed
		}
	}
	l.id = proposed
	return nil
}

// end breaks the lease: at once one without end, one with a duration when it ends, and
// either sooner if the request says so.
func (l *lease) end(h http.Header, c *call, of string) *storage.Error {
	if l.id == "" {
		return notLeased(of)
	}
	asked := time.Duration(-1)
	if text := h.Get("x-ms-lease-break-period"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 || seconds > 60 {
			return rest.BadHeader()
		}
		asked = time.Duration(seconds) * time.Second
	}
	left := time.Duration(0)
	switch l.state(c.now) {
	case "breaking":
		left = l.broken.Sub(c.now)
	case "leased":
		if left = l.until.Sub(c.now); l.duration == 0 {
			left = max(asked, 0)
		}
	}
	if asked >= 0 {
		left = min(left, asked)
	}
	l.broken = c.now.Add(left)
	c.w.Header().Set("x-ms-lease-time", strconv.Itoa(int((left+time.Second-1)/time.Second)))
	return nil
}

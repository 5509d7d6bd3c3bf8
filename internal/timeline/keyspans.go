package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/truncate"
)

type ring struct {
	name  string
	keys  []*key
	wrong []int // events of keys that could not be made
}

// A key is a life in phases.
type key struct {
	id     string
	phases []phase
}

type phase struct {
	shape shape
	from  float64
	event int
}

func (c *composer) ring(name string) *ring {
	for _, r := range c.rings {
		if r.name == name {
			return r
		}
	}
	r := &ring{name: name}
	c.rings = append(c.rings, r)
	return r
}

// signs notes a key by its first signature: a ring's first key is in no event.
func (r *ring) signs(kid string, event int) {
	if kid != "" && !slices.ContainsFunc(r.keys, func(k *key) bool { return k.id == kid }) {
		r.enters(kid, "").phases = []phase{{signing, 0, event}}
	}
}

// enters returns the key that leaves a stage: the oldest of that id, as two keys
// may have the same one. A key that comes from nowhere is a new one.
func (r *ring) enters(kid string, from shape) *key {
	for _, k := range r.keys {
		if k.id == kid && from != "" && (k.stage() == from || from == signing && k.stage() == hidden) {
			return k
		}
	}
	k := &key{id: kid}
	r.keys = append(r.keys, k)
	return k
}

// newest is the stage of the newest key of an id.
func (r *ring) newest(kid string) shape {
	for _, k := range slices.Backward(r.keys) {
		if k.id == kid {
			return k.stage()
		}
	}
	return ""
}

func (k *key) stage() shape {
	if len(k.phases) == 0 {
		return ""
	}
	return k.phases[len(k.phases)-1].shape
}

var stages = map[string]shape{
	string(keyring.Published): published, string(keyring.Signing): signing, string(keyring.Retired): retired, string(keyring.Removed): removed,
}

func (c *composer) key(i int, e journal.Event) {
	r := c.ring(e.Component)
	stage, known := stages[e.Detail["stage"]]
	if !known || refused(e) {
		r.wrong = append(r.wrong, i)
		return
	}
	from := stages[e.Detail["from"]]
	switch e.Detail["jwks"] {
	case "without it":
		stage = hidden
	case "with it": // as it is otherwise
		from = r.newest(e.Kid)
	}
	k := r.enters(e.Kid, from)
	if from != "" && len(k.phases) == 0 { // since before the journal began
		k.phases = append(k.phases, phase{from, 0, i})
	}
	k.phases = append(k.phases, phase{stage, c.axis.at[i], i})
}

func (c *composer) drawRing(r *ring) {
	l := c.lane(keyGroup, r.name)
	for _, k := range r.keys {
		last := k.phases[len(k.phases)-1]
		end := c.axis.now
		if last.shape == removed {
			end = last.from
		}
		row, ok := l.row(k.phases[0].from, end+0.6)
		if !ok {
			continue
		}
		for n, ph := range k.phases {
			to := end
			if n+1 < len(k.phases) {
				to = k.phases[n+1].from
			}
			text := string(ph.shape)
			if ph.shape == hidden {
				text = "unpublished"
			}
			if n == 0 {
				text = short(k.id) + " " + text
			}
			if ph.shape == removed {
				to, text = ph.from, ""
			}
			l.add(item{ph.shape, row, ph.from, to, ph.event, text})
		}
	}
	for _, i := range r.wrong {
		s := denied
		if !refused(c.events[i]) {
			s = changed
		}
		l.add(item{s, 0, c.axis.at[i], c.axis.at[i], i, ""})
	}
}

// short is enough of a key id to tell it from others.
func short(id string) string { return truncate.Runes(id, 8) }

type file struct {
	workload, path string
	versions       []version
	wrong          []int
}

type version struct {
	event   int
	expires *time.Time
}

func (c *composer) projected(i int, e journal.Event) {
	var f *file
	for _, known := range c.files {
		if known.workload == e.Workload && known.path == e.Detail["file"] {
			f = known
		}
	}
	if f == nil {
		f = &file{workload: e.Workload, path: e.Detail["file"]}
		c.files = append(c.files, f)
	}
	if refused(e) {
		f.wrong = append(f.wrong, i)
		return
	}
	f.versions = append(f.versions, version{i, e.ExpiresAt})
}

// drawFile draws each version of a token file, the rest of its lifetime, and its overdue part.
func (c *composer) drawFile(f *file) {
	l := c.lane(fileGroup, cmp.Or(f.workload, f.path))
	for n, v := range f.versions {
		from, until := c.axis.at[v.event], c.axis.now
		if n+1 < len(f.versions) {
			until = c.axis.at[f.versions[n+1].event]
		}
		expires := until
		if v.expires != nil {
			expires = max(c.axis.place(*v.expires), from)
		}
		row, ok := l.row(from, max(until, expires))
		if !ok {
			continue
		}
		if expires > until {
			l.add(item{rest, row, until, expires, v.event, ""})
		}
		l.add(item{current, row, from, min(until, expires), v.event, fmt.Sprintf("%d", n+1)})
		if expires < until {
			l.add(item{expired, row, expires, until, v.event, "expired"})
		}
	}
	for _, i := range f.wrong {
		l.add(item{denied, 0, c.axis.at[i], c.axis.at[i], i, ""})
	}
}

// A life is a fault that is injected and not cleared yet.
type life struct {
	id, name string
	lane     *lane
	from     float64
	event    int
}

// fault draws how long each fault was there, and what it hit.
func (c *composer) fault(i int, e journal.Event) {
	id, name := e.Detail[journal.DetailFault], e.Detail["name"]
	l, x := c.lane(faultGroup, strings.TrimSpace(id+" "+name)), c.axis.at[i]
	switch e.Detail["action"] {
	case "injected":
		c.faults = append(c.faults, &life{id, name, l, x, i})
	case "cleared":
		for n, f := range c.faults {
			if f.id == id {
				l.add(item{injected, 0, f.from, x, f.event, name})
				c.faults = append(c.faults[:n], c.faults[n+1:]...)
				return
			}
		}
		l.add(item{injected, 0, 0, x, i, name}) // since before the journal began
	default:
		l.add(item{fault, 1, x, x, i, ""}) // below, so that the bar is seen
	}
}

// A program was started, and may have ended.
type program struct {
	lane       *lane
	name       string
	began, end int // events; end is 0 until it has ended
}

// program notes that a program was started, or has ended. An end says of which
// start it is, unless the program was waited for and only its end is recorded.
func (c *composer) program(i int, e journal.Event) {
	l, name, code := c.lane(programGroup, e.Workload), e.Detail[journal.DetailProgram], e.Detail[journal.DetailExitCode]
	if !refused(e) && code == "" {
		c.programs = append(c.programs, &program{lane: l, name: name, began: i})
		return
	}
	for _, r := range c.programs {
		if r.lane == l && name != "" && r.name == name && r.end == 0 {
			r.end = i
			return
		}
	}
	c.point(l, c.ending(i), i)
}

// ending is the shape of a program's end.
func (c *composer) ending(i int) shape {
	if e := c.events[i]; refused(e) || e.Detail[journal.DetailExitCode] != "0" {
		return broke
	}
	return ended
}

// drawProgram draws how long a program ran, below the ends of those that were waited for.
func (c *composer) drawProgram(r *program) {
	from, to := c.axis.at[r.began], c.axis.now
	if r.end != 0 {
		to = c.axis.at[r.end]
	}
	row, ok := r.lane.row(from, to+0.6)
	if !ok {
		return
	}
	r.lane.add(item{running, row + 1, from, to, r.began, r.name})
	if r.end != 0 {
		r.lane.add(item{c.ending(r.end), row + 1, to, to, r.end, ""})
	}
}

package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// shape is what is drawn for an item: its class in the style sheet. None differ in colour alone.
type shape string

// The shapes: points first.
const (
	granted   shape = "granted"   // a disc with a tick
	denied    shape = "denied"    // a diamond with a cross
	challenge shape = "challenge" // a ring: a request without a token, made on purpose
	ended     shape = "ended"     // a square: a program that ended well
	broke     shape = "broke"     // a square with a cross: one that did not
	changed   shape = "changed"   // a small disc: the directory, a look-up
	removed   shape = "removed"   // a cross: the end of a key
	fault     shape = "fault"     // a triangle
	turned    shape = "turned"    // a flag: the clock was changed other than forward

	running   shape = "running"   // a bar: a program from its start to its end
	advanced  shape = "advanced"  // the clock was moved
	injected  shape = "injected"  // how long a fault was there
	published shape = "published" // the stages of a key
	signing   shape = "signing"
	hidden    shape = "hidden" // it signs and is in no JWKS
	retired   shape = "retired"
	current   shape = "current" // the version in a token file
	rest      shape = "rest"    // what is left of its lifetime
	expired   shape = "expired" // in the file although it has expired
	token     shape = "token"   // an access token's lifetime
)

// legend says what shapes mean, in the order of the legend.
var legend = []struct {
	shape shape
	text  string
}{
	{published, "key published"}, {signing, "key signs"}, {hidden, "key signs, but is not published"}, {retired, "key retired, still published"}, {removed, "key removed"},
	{current, "token in the file"}, {rest, "its lifetime"}, {expired, "in the file, but expired"},
	{granted, "granted"}, {denied, "refused or failed"}, {challenge, "asked without a token, as clients do first"},
	{token, "access token's lifetime"}, {running, "program runs"}, {ended, "program ended"}, {broke, "program ended with an error"},
	{changed, "change or look-up"}, {advanced, "clock moved on"}, {turned, "clock set"}, {injected, "fault injected"}, {fault, "fault hit a call"},
}

func (s shape) bar() bool {
	switch s {
	case running, advanced, injected, published, signing, hidden, retired, current, rest, expired, token:
		return true
	}
	return false
}

// A picture is what to draw, in lengths of the axis; only the drawing knows pixels.
type picture struct {
	about    About
	events   []journal.Event
	axis     axis
	lanes    []*lane
	remarks  []string // what was left out
	refusals int
	index    index
}

type lane struct {
	group, label string
	first        bool // of its group
	rows         int
	items        []item
	busy         []float64 // up to where each row is taken
	left         int       // items for which there was no row
}

// An item is a bar, or a point where from is to.
type item struct {
	shape    shape
	row      int
	from, to float64
	event    int // index of the event that it stands for
	text     string
}

// The groups of lanes, from top to bottom.
const (
	clockGroup     = "Lab clock"
	faultGroup     = "Faults"
	directoryGroup = "Directory"
	keyGroup       = "Keys"
	lookupGroup    = "Key look-ups"
	fileGroup      = "Token files"
	mintGroup      = "Token requests"
	exchangeGroup  = "Exchanges"
	tokenGroup     = "Access tokens"
	accessGroup    = "Requests"
	programGroup   = "Programs"
	escapeGroup    = "Escapes"
	otherGroup     = "Other"
)

var groups = []string{
	clockGroup, faultGroup, directoryGroup, keyGroup, lookupGroup, fileGroup, mintGroup, exchangeGroup, tokenGroup, accessGroup, programGroup, escapeGroup, otherGroup,
}

// Limits that keep a picture readable and its file small.
const (
	maxEvents = 20_000 // drawn
	maxRows   = 8      // of a lane
	maxLanes  = 40     // of a group
)

// compose decides what is drawn where.
func compose(about About, events []journal.Event) *picture {
	p := &picture{about: about, events: events}
	if left := len(events) - maxEvents; left > 0 {
		p.events = thin(events, maxEvents)
		p.remarks = append(p.remarks, fmt.Sprintf("The run has %d events, of which %d are drawn: every refusal and change, and the newest of the rest.", len(events), len(p.events)))
	}
	p.axis = newAxis(p.events, ends(p.events))
	p.index = newIndex(p.events)
	c := composer{picture: p, byName: map[string]*lane{}}
	for i, e := range p.events {
		if refused(e) {
			p.refusals++
		}
		c.add(i, e)
	}
	c.finish()
	return p
}

// thin keeps what tells most of a long journal.
func thin(events []journal.Event, most int) []journal.Event {
	telling := func(e journal.Event) bool {
		return refused(e) || e.Kind == journal.KeyRotation || e.Kind == journal.Projection || e.Kind == journal.Clock || e.Kind == journal.Directory ||
			e.Kind == journal.Fault && e.Detail["action"] != "hit"
	}
	spare := most
	for _, e := range events {
		if telling(e) {
			spare--
		}
	}
	kept := make([]journal.Event, 0, most)
	for _, e := range slices.Backward(events) {
		if len(kept) == most {
			break
		}
		if !telling(e) {
			if spare <= 0 {
				continue
			}
			spare--
		}
		kept = append(kept, e)
	}
	slices.Reverse(kept)
	return kept
}

// refused reports whether something was refused or failed that was not meant to be.
func refused(e journal.Event) bool {
	return (e.Outcome == journal.Denied || e.Outcome == journal.Failed) && e.Detail["challenge"] == ""
}

// ends are the times at which lifetimes end.
func ends(events []journal.Event) []time.Time {
	var ends []time.Time
	for _, e := range events {
		if e.ExpiresAt != nil && e.Outcome != journal.Denied {
			ends = append(ends, *e.ExpiresAt)
		}
	}
	return ends
}

// row takes a row that is free between two points; false if the lane is full.
func (l *lane) row(from, to float64) (int, bool) {
	for i, busy := range l.busy {
		if busy <= from {
			l.busy[i] = to
			return i, true
		}
	}
	if len(l.busy) == maxRows {
		l.left++
		return 0, false
	}
	l.busy = append(l.busy, to)
	return len(l.busy) - 1, true
}

func (l *lane) add(i item) {
	l.rows = max(l.rows, i.row+1)
	l.items = append(l.items, i)
}

type composer struct {
	*picture
	byName map[string]*lane
	rings  []*ring
	files  []*file
	faults []*life

	programs []*program
}

// lane returns the lane of that name in a group, which it makes.
func (c *composer) lane(group, label string) *lane {
	name := group + "\x00" + label
	l := c.byName[name]
	if l == nil {
		l = &lane{group: group, label: label, rows: 1}
		c.byName[name] = l
		c.lanes = append(c.lanes, l)
	}
	return l
}

// point draws an event as a point. Refusals have a row of their own.
func (c *composer) point(l *lane, s shape, i int) {
	row := 0
	if s == denied && l.group != otherGroup {
		row = 1
	}
	l.add(item{shape: s, row: row, from: c.axis.at[i], to: c.axis.at[i], event: i})
}

func outcome(e journal.Event, well shape) shape {
	switch {
	case refused(e):
		return denied
	case e.Detail["challenge"] != "":
		return challenge
	}
	return well
}

func (c *composer) add(i int, e journal.Event) {
	switch e.Kind {
	case journal.KeyRotation:
		c.key(i, e)
	case journal.Mint:
		if refused(e) {
			c.point(c.lane(mintGroup, cmp.Or(e.Workload, e.Component)), denied, i)
		} else {
			c.ring(e.Component).signs(e.Kid, i)
		}
	case journal.Projection:
		c.projected(i, e)
	case journal.Discovery:
		c.point(c.lane(lookupGroup, ""), outcome(e, changed), i)
	case journal.TokenReview:
		c.point(c.lane(mintGroup, "token reviews of "+e.Component), outcome(e, granted), i)
	case journal.Exchange:
		c.exchange(i, e)
	case journal.Access:
		c.point(c.lane(accessGroup, cmp.Or(e.Resource, e.Host, e.Component)), outcome(e, granted), i)
	case journal.Run:
		c.program(i, e)
	case journal.Escape:
		c.point(c.lane(escapeGroup, e.Host), outcome(e, changed), i)
	case journal.Directory:
		c.point(c.lane(directoryGroup, ""), outcome(e, changed), i)
	case journal.Clock:
		c.clock(i, e)
	case journal.Fault:
		c.fault(i, e)
	default:
		c.point(c.lane(otherGroup, string(e.Kind)), outcome(e, changed), i)
	}
}

func (c *composer) exchange(i int, e journal.Event) {
	who := cmp.Or(e.Workload, e.Identity, e.ClientID)
	c.point(c.lane(exchangeGroup, who), outcome(e, granted), i)
	if e.Outcome != journal.Granted || e.ExpiresAt == nil {
		return
	}
	l := c.lane(tokenGroup, strings.TrimSpace(cmp.Or(e.Identity, e.ClientID)+" → "+strings.TrimPrefix(e.Resource, "https://")))
	from, to := c.axis.at[i], max(c.axis.place(*e.ExpiresAt), c.axis.at[i])
	row, _ := l.row(from, to) // too many are merged in the end
	l.add(item{token, row, from, to, i, span(e.ExpiresAt.Sub(e.Time))})
}

// clock draws a move of the clock as long as it was, where the event says so.
func (c *composer) clock(i int, e journal.Event) {
	l, to := c.lane(clockGroup, e.Component), c.axis.at[i]
	from, by, ok := moved(e)
	if !ok {
		l.add(item{turned, 0, to, to, i, ""})
		return
	}
	l.add(item{advanced, 0, min(c.axis.leave(from), to), to, i, "+" + span(by)})
}

// moved tells from when and how far the clock was moved.
func moved(e journal.Event) (from time.Time, by time.Duration, ok bool) {
	from, err := time.Parse(time.RFC3339Nano, e.Detail["from"])
	if err != nil || !from.Before(e.Time) {
		return from, 0, false
	}
	return from, e.Time.Sub(from), true
}

// finish draws what lasted until the end, and sorts the lanes.
func (c *composer) finish() {
	for _, r := range c.rings {
		c.drawRing(r)
	}
	for _, f := range c.files {
		c.drawFile(f)
	}
	for _, r := range c.programs {
		c.drawProgram(r)
	}
	for _, f := range c.faults {
		f.lane.add(item{injected, 0, f.from, c.axis.now, f.event, f.name})
	}
	slices.SortStableFunc(c.lanes, func(a, b *lane) int {
		return slices.Index(groups, a.group) - slices.Index(groups, b.group)
	})
	seen := map[string]int{}
	c.lanes = slices.DeleteFunc(c.lanes, func(l *lane) bool {
		seen[l.group]++
		return seen[l.group] > maxLanes
	})
	for _, g := range groups {
		if left := seen[g] - maxLanes; left > 0 {
			c.remarks = append(c.remarks, fmt.Sprintf("%s: %d more lanes are not drawn.", g, left))
		}
	}
	for n, l := range c.lanes {
		l.first = n == 0 || c.lanes[n-1].group != l.group
		l.settle()
		if l.left > 0 && l.group == tokenGroup {
			l.merge()
		}
		if l.left > 0 {
			c.remarks = append(c.remarks, fmt.Sprintf("%s: %d more bars at the same time are not drawn.", strings.TrimSpace(l.group+" "+l.label), l.left))
		}
	}
}

// merge draws bars of the same time as one, when there are too many of them to draw each.
func (l *lane) merge() {
	var merged []item
	count := 0
	slices.SortStableFunc(l.items, func(a, b item) int { return cmp.Compare(a.from, b.from) })
	for _, i := range l.items {
		if n := len(merged); n > 0 && i.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, i.to)
			count++
		} else {
			merged, count = append(merged, i), 1
		}
		last := &merged[len(merged)-1]
		last.row, last.text = 0, fmt.Sprintf("%d tokens", count)
	}
	l.items, l.rows, l.left = merged, 1, 0
}

// settle removes an empty first row, and sorts items along the axis.
func (l *lane) settle() {
	if !slices.ContainsFunc(l.items, func(i item) bool { return i.row == 0 }) {
		for i := range l.items {
			l.items[i].row--
		}
		l.rows--
	}
	slices.SortStableFunc(l.items, func(a, b item) int { return cmp.Compare(a.from, b.from) })
}

package timeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// An axis maps lab time to a length. A run is hours in which nothing happens and
// instants at which much does, so the axis is not to scale: events of one instant
// stand beside each other in the order in which they were recorded, and a gap
// grows with the logarithm of its length. Between two knots it is straight.
type axis struct {
	knots []knot
	total float64
	at    []float64 // where each event stands
	now   float64   // where the last event ends
}

type knot struct {
	x float64
	t time.Time
}

// newAxis makes room for the events, and after them for what ends later.
func newAxis(events []journal.Event, ends []time.Time) axis {
	const margin = 0.6
	a := axis{at: make([]float64, len(events))}
	if len(events) > 0 {
		a.knots = append(a.knots, knot{0, events[0].Time})
	}
	gaps, rooms := widths(events)
	x := margin
	var last time.Time
	for i, e := range events {
		if i == 0 || e.Time.After(last) { // two at a time may be recorded the other way round
			last = e.Time
		}
		x += gaps[i]
		a.at[i] = x + rooms[i]/2
		a.knots = append(a.knots, knot{x, last}, knot{x + rooms[i], last})
		x += rooms[i]
	}
	a.now = x
	a.straighten(events)
	x += margin
	later := slices.Clone(ends)
	later = slices.DeleteFunc(later, func(t time.Time) bool { return !t.After(last) })
	slices.SortFunc(later, time.Time.Compare)
	later = slices.CompactFunc(later, time.Time.Equal)
	needs, sum, before := make([]float64, len(later)), 0.0, last
	for i, t := range later {
		needs[i] = gap(t.Sub(before))
		sum, before = sum+needs[i], t
	}
	if len(events) > 0 {
		a.knots = append(a.knots, knot{x, last})
	}
	for i, t := range later { // what is still to come takes a fifth of the picture at most
		x += needs[i] * min(1, max(x/4, 4)/max(sum, 1e-9))
		a.knots = append(a.knots, knot{x, t})
	}
	a.total = x + margin
	return a
}

// straighten makes an axis with many instants more to scale, so that density shows.
func (a *axis) straighten(events []journal.Event) {
	const few, many, most = 40, 1000, 0.6
	instants := 0
	for i, e := range events {
		if i > 0 && !e.Time.Equal(events[i-1].Time) && !routine(e) {
			instants++
		}
	}
	if instants <= few {
		return
	}
	first, last := a.knots[0].t, a.knots[len(a.knots)-1].t
	share := most * min(1, math.Log(float64(instants)/few)/math.Log(float64(many)/few))
	straight := func(x float64, t time.Time) float64 {
		return (1-share)*x + share*a.now*float64(t.Sub(first))/float64(last.Sub(first))
	}
	for i := range a.at { // each event has two knots, behind the one at zero
		a.at[i] = straight(a.at[i], a.knots[2*i+1].t)
	}
	for i := range a.knots {
		a.knots[i].x = straight(a.knots[i].x, a.knots[i].t)
	}
	a.now = straight(a.now, last)
}

// widths are those of the gaps before the events and of the events. Token files that are renewed
// hour by hour, for days, do not press together what a picture is looked at for.
func widths(events []journal.Event) (gaps, rooms []float64) {
	const free, share = 40, 1.5
	gaps, rooms = make([]float64, len(events)), make([]float64, len(events))
	var told, renewed float64
	var last time.Time
	for i, e := range events {
		rooms[i] = room(e)
		if i > 0 && e.Time.After(last) {
			gaps[i] = gap(e.Time.Sub(last))
		}
		if i == 0 || e.Time.After(last) {
			last = e.Time
		}
		if routine(e) {
			renewed += gaps[i] + rooms[i]
		} else {
			told += gaps[i] + rooms[i]
		}
	}
	narrow := min(1, max(free, share*told)/max(renewed, 1))
	for i, e := range events {
		if routine(e) {
			gaps[i], rooms[i] = gaps[i]*narrow, rooms[i]*narrow
		}
	}
	return gaps, rooms
}

// routine reports whether an event is a token that is made and laid out in its turn.
func routine(e journal.Event) bool {
	return (e.Kind == journal.Mint || e.Kind == journal.Projection) && e.Outcome == journal.OK
}

// room is the width of an event: less for those that nothing is drawn for, or that are drawn small.
func room(e journal.Event) float64 {
	switch {
	case e.Kind == journal.Mint && e.Outcome == journal.OK:
		return 0.1
	case e.Kind == journal.Clock:
		return 0.6
	default:
		return 1
	}
}

// gap is the width of an idle time: a second is about two events wide, an hour six, a week ten.
func gap(d time.Duration) float64 {
	return 0.3 * math.Pow(math.Log10(1+float64(d)/float64(time.Millisecond)), 1.6)
}

// place is where a time lies. An instant with events begins where the first of them does.
func (a *axis) place(t time.Time) float64 {
	if len(a.knots) == 0 {
		return 0
	}
	i, found := slices.BinarySearchFunc(a.knots, t, func(k knot, t time.Time) int { return k.t.Compare(t) })
	switch {
	case found:
		return a.knots[i].x
	case i == 0:
		return 0
	case i == len(a.knots):
		return a.total
	}
	before, after := a.knots[i-1], a.knots[i]
	share := float64(t.Sub(before.t)) / max(float64(after.t.Sub(before.t)), 1)
	return before.x + share*(after.x-before.x)
}

// leave is where an instant ends: behind the last of its events.
func (a *axis) leave(t time.Time) float64 {
	i, _ := slices.BinarySearchFunc(a.knots, t, func(k knot, t time.Time) int {
		if k.t.After(t) {
			return 1
		}
		return -1
	})
	if i > 0 && a.knots[i-1].t.Equal(t) && i < len(a.knots) {
		return a.knots[i-1].x
	}
	return a.place(t)
}

// A tick is a time that is written at the axis.
type tick struct {
	x     float64 // on the axis
	t     time.Time
	clock string // the time of day, with the date where it has changed
	since string // since the first event
}

// Measures of ticks, in pixels.
const (
	tickWidth = 84 // the room that a tick's text needs
	busy      = 14 // an instant that takes so much room is worth a tick among many
)

// ticks chooses times for an axis of width pixels: round ones, or the busiest instants if few.
func (a *axis) ticks(width float64) []tick {
	if len(a.knots) == 0 {
		return nil
	}
	first, last := a.knots[0].t, a.knots[len(a.knots)-1].t
	times := a.instants(0)
	if len(times) > int(width/tickWidth)*4 {
		times = append(a.instants(busy/width*a.total), roundTimes(first, last)...)
	}
	var ticks []tick
	taken := map[int]float64{} // by stretches as wide as a tick, so that few are compared
	for _, t := range times {
		x := a.place(t)
		px := x / a.total * width
		if px <= width && isFree(taken, px) {
			ticks = append(ticks, tick{x: x, t: t})
			taken[int(px/tickWidth)] = px
		}
	}
	slices.SortFunc(ticks, func(a, b tick) int { return a.t.Compare(b.t) })
	write(ticks, first)
	return slices.DeleteFunc(ticks, func(t tick) bool { // its text would go beyond the edge
		return t.x/a.total*width+max(wide(t.clock), wide(t.since)) > width+rightMargin
	})
}

// instants returns the times of at least that width: the first, then the widest.
func (a *axis) instants(least float64) []time.Time {
	type instant struct {
		t    time.Time
		room float64
	}
	var list []instant
	for i, k := range a.knots {
		if i == 0 || !k.t.Equal(a.knots[i-1].t) {
			list = append(list, instant{t: k.t})
			continue
		}
		list[len(list)-1].room += k.x - a.knots[i-1].x
	}
	list[0].room = a.total
	slices.SortStableFunc(list, func(a, b instant) int { return cmp.Compare(b.room, a.room) })
	var times []time.Time
	for _, i := range list {
		if i.room >= least {
			times = append(times, i.t)
		}
	}
	return times
}

// steps are the distances of round times.
var steps = []time.Duration{
	time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 28 * 24 * time.Hour, 364 * 24 * time.Hour,
}

// isFree reports whether nothing is within the width of a tick.
func isFree(taken map[int]float64, px float64) bool {
	for n := int(px/tickWidth) - 1; n <= int(px/tickWidth)+1; n++ {
		if other, ok := taken[n]; ok && math.Abs(other-px) < tickWidth {
			return false
		}
	}
	return true
}

// roundTimes are the round times between two, the roundest first.
func roundTimes(first, last time.Time) []time.Time {
	const most = 3000
	var times []time.Time
	for _, step := range slices.Backward(steps) {
		n := last.Sub(first) / step
		if n == 0 {
			continue
		}
		if n > most {
			break
		}
		for t := first.Truncate(step).Add(step); !t.After(last); t = t.Add(step) {
			times = append(times, t)
		}
	}
	return times
}

// write gives ticks their texts, as exact as it takes to tell them apart.
func write(ticks []tick, first time.Time) {
	closest := time.Duration(math.MaxInt64)
	for i := 1; i < len(ticks); i++ {
		closest = min(closest, ticks[i].t.Sub(ticks[i-1].t))
	}
	layout := "15:04"
	switch {
	case closest < time.Millisecond:
		layout = "15:04:05.000000"
	case closest < time.Second:
		layout = "15:04:05.000"
	case closest < time.Minute || len(ticks) < 2:
		layout = "15:04:05"
	}
	day := ""
	for i := range ticks {
		t := ticks[i].t.UTC()
		ticks[i].clock, ticks[i].since = t.Format(layout), "+"+span(t.Sub(first))
		if date := t.Format("2 Jan "); date != day {
			day = date
			ticks[i].clock = date + strings.TrimSuffix(ticks[i].clock, ".000000")
		}
	}
}

// span writes a duration with its two largest units, such as 1d2h or 3m20s.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-max(d, math.MinInt64+1))
	}
	if d < time.Second {
		return cmp.Or(strings.TrimSuffix(d.Round(time.Microsecond).String(), ".0s"), "0s")
	}
	d = d.Round(time.Second)
	units := []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		n := d / u.of
		if n == 0 {
			continue
		}
		if u.name == "d" && n == 1 && d < 36*time.Hour { // 25h is what people say
			n, u = d/time.Hour, units[1]
			i = 1
		}
		text := fmt.Sprintf("%d%s", n, u.name)
		if i+1 < len(units) {
			if rest := (d - n*u.of) / units[i+1].of; rest > 0 {
				text += fmt.Sprintf("%d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

package timeline

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/explain"
)

// Measures of the drawing, in pixels. page.js places with the same.
const (
	drawingWidth = 1180
	gutter       = 216 // where the names of lanes are
	rightMargin  = 14
	axisHeight   = 40
	rowHeight    = 18
	lanePad      = 5
	barHeight    = 12
)

// A drawing is SVG being written. What it writes as text is escaped.
type drawing struct {
	strings.Builder
	anchors map[int]string // where the explanation of an event is, for links
	zooms   bool           // page.js moves what is drawn, so that nothing may be missing that a closer look shows
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(&d.Builder, format, args...) }

// escape makes untrusted input plain text: no markup, nothing that XML
// does not allow, nothing that changes the direction of what follows.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(explain.Printable(s))) // a strings.Builder does not fail
	return b.String()
}

func (d *drawing) text(x, y float64, class, anchor, s string) {
	d.f(`<text x="%s" y="%s" class="%s"`, px(x), px(y), class)
	if anchor != "" {
		d.f(` text-anchor="%s"`, anchor)
	}
	d.f(`>%s</text>`, escape(s))
}

// px writes a length with a digit after the point at most.
func px(x float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
}

func (p *picture) height() float64 {
	h := float64(axisHeight)
	for _, l := range p.lanes {
		h += l.height()
	}
	return h + 6
}

// height leaves room for two lines where the lane's name is below its group's.
func (l *lane) height() float64 {
	h := float64(l.rows*rowHeight + 2*lanePad)
	if l.first && l.label != "" {
		h = max(h, 37)
	}
	return h
}

// draw draws axis and lanes into a rectangle that begins at the origin.
func (p *picture) draw(d *drawing, width float64) {
	plot := width - gutter - rightMargin
	scale := plot / max(p.axis.total, 1e-9)
	at := func(x float64) float64 { return gutter + x*scale }
	height := p.height()
	y := float64(axisHeight)
	for n, l := range p.lanes {
		if n%2 == 0 {
			d.f(`<rect class="stripe" x="0" y="%s" width="%s" height="%s"/>`, px(y), px(width), px(l.height()))
		}
		y += l.height()
	}
	d.f(`<g class="body">`)
	p.drawMoves(d, at, height-6)
	d.f(`<g class="ticks">`)
	for _, t := range p.axis.ticks(plot) {
		x := at(t.x)
		d.f(`<g><path class="line" d="M%s %dV%s"/>`, px(x), axisHeight-8, px(height-6))
		d.text(x, 14, "", "", t.clock)
		d.text(x, 27, "quiet", "", t.since)
		d.f(`</g>`)
	}
	d.f(`</g>`)
	y = axisHeight
	for _, l := range p.lanes {
		l.draw(p, d, y+(l.height()-float64(l.rows*rowHeight))/2, at)
		y += l.height()
	}
	d.f(`</g>`)
	y = axisHeight
	for _, l := range p.lanes {
		d.name(l, y)
		y += l.height()
	}
}

// drawMoves draws where the clock was moved and faults came and went, through all lanes.
func (p *picture) drawMoves(d *drawing, at func(float64) float64, bottom float64) {
	free := math.Inf(-1)
	for _, l := range p.lanes {
		for _, i := range l.items {
			switch {
			case i.shape == advanced && (d.zooms || at(i.to)-at(i.from) > 1):
				d.f(`<rect class="moved" x="%s" y="%d" width="%s" height="%s"/>`, px(at(i.from)), axisHeight, px(at(i.to)-at(i.from)), px(bottom-axisHeight))
			case i.shape == turned && (d.zooms || at(i.from) > free):
				d.f(`<path class="instant" d="M%s %dV%s"/>`, px(at(i.from)), axisHeight, px(bottom))
				free = at(i.from) + 5
			case i.shape == injected && i.from > 0:
				d.f(`<path class="trouble" d="M%s %dV%s"/>`, px(at(i.from)), axisHeight, px(bottom))
			}
		}
	}
}

// name writes the lane's name into the gutter.
func (d *drawing) name(l *lane, y float64) {
	mid, apart := y+l.height()/2+4, 0.0
	if l.first && l.label != "" {
		apart = 7
	}
	d.f(`<g class="name"><title>%s</title>`, escape(strings.TrimSpace(l.group+" "+l.label)))
	if l.first || l.label == "" {
		d.text(10, mid-apart, "group", "", l.group)
	}
	if l.label != "" { // as much as fits, its end above all
		d.text(10, mid+apart, "quiet", "", fit(l.label, gutter-20))
	}
	d.f(`</g>`)
}

// letter is about how wide a letter is, in the widest of the usual fonts.
const letter = 6.5

func wide(s string) float64 { return letter * float64(len([]rune(s))) }

// fit leaves out the middle of a text that is too wide.
func fit(s string, room float64) string {
	r := []rune(s)
	most := max(int(room/letter), 3)
	if len(r) <= most {
		return s
	}
	head := (most - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(most-1-head):])
}

func (l *lane) draw(p *picture, d *drawing, y float64, at func(float64) float64) {
	d.f(`<g class="lane">`)
	var points []item
	for _, i := range l.items {
		if !i.shape.bar() {
			points = append(points, i)
			continue
		}
		d.bar(p, i, y+float64(i.row*rowHeight), at(i.from), at(i.to))
	}
	d.f(`<g class="points">`)
	for _, c := range gather(points, at) {
		d.cluster(p, c, y+float64(c[0].row*rowHeight)+rowHeight/2, at)
	}
	d.f(`</g></g>`)
}

// bar draws a length from one place to another.
func (d *drawing) bar(p *picture, i item, y, from, to float64) {
	width := max(to-from, 2)
	top, height := y+(rowHeight-barHeight)/2, float64(barHeight)
	if i.shape == rest {
		top, height = top+3, height-6
	}
	d.f(`<g class="i" data-e="%d"><title>%s</title><rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="2"/>`,
		i.event, escape(p.title(i)), i.shape, px(from), px(top), px(width), px(height))
	class := "within"
	if i.shape == signing || i.shape == current {
		class = "on"
	}
	if text := fitWords(i.text, width-8); text != "" || d.zooms && i.text != "" {
		d.text(from+4, top+height-2.6, class, "", text)
	}
	d.f(`</g>`)
}

func fitWords(s string, room float64) string {
	for s != "" && wide(s)*0.95 > room {
		i := strings.LastIndexByte(s, ' ')
		s = s[:max(i, 0)]
	}
	return s
}

// gather groups points of one shape that would overlap. Refusals come last, on top.
func gather(points []item, at func(float64) float64) [][]item {
	var list [][]item
	open := map[string]int{}
	for _, i := range points {
		key := fmt.Sprint(i.shape, i.row)
		if n, ok := open[key]; ok && at(i.from)-at(list[n][0].from) < crowd(len(list[n])) {
			list[n] = append(list[n], i)
			continue
		}
		open[key] = len(list)
		list = append(list, []item{i})
	}
	slices.SortStableFunc(list, func(a, b []item) int { return cmp.Compare(weight(a[0].shape), weight(b[0].shape)) })
	return list
}

// crowd is how near to the first of so many points another would hide them.
func crowd(n int) float64 {
	if n == 1 {
		return 13
	}
	return 13 + letter*float64(len(strconv.Itoa(n)))
}

func weight(s shape) int {
	if s == denied {
		return 1
	}
	return 0
}

// cluster draws a point, or several as one with their number.
func (d *drawing) cluster(p *picture, c []item, y float64, at func(float64) float64) {
	first, last := c[0], c[len(c)-1]
	x := (at(first.from) + at(last.from)) / 2
	title := p.title(first)
	if len(c) > 1 {
		title = fmt.Sprintf("%d × %s, %s to %s", len(c), meaning(first.shape), p.when(first.event), p.when(last.event))
	}
	anchor := d.anchors[first.event]
	if anchor != "" {
		d.f(`<a href="#%s">`, anchor)
	}
	d.f(`<g class="i" data-e="%d"><title>%s</title>`, first.event, escape(title))
	if len(c) == 1 {
		d.point(first.shape, x, y)
	} else {
		d.pill(first.shape, x, y, len(c))
	}
	d.f(`</g>`)
	if anchor != "" {
		d.f(`</a>`)
	}
}

// point draws a shape around a place.
func (d *drawing) point(s shape, x, y float64) {
	at := fmt.Sprintf(`transform="translate(%s %s)"`, px(x), px(y))
	switch s {
	case granted:
		d.f(`<g %s><circle class="granted" r="6"/><path class="mark" d="M-2.8 .2l2 2.2 3.6-4.4"/></g>`, at)
	case denied:
		d.f(`<g %s><path class="denied" d="M0-8L8 0 0 8-8 0z"/><path class="mark" d="M-2.4-2.4l4.8 4.8m0-4.8l-4.8 4.8"/></g>`, at)
	case challenge:
		d.f(`<circle %s class="challenge" r="4"/>`, at)
	case ended:
		d.f(`<rect %s class="ended" x="-4.5" y="-4.5" width="9" height="9" rx="1"/>`, at)
	case broke:
		d.f(`<g %s><rect class="broke" x="-5.5" y="-5.5" width="11" height="11" rx="1"/><path class="mark" d="M-2.4-2.4l4.8 4.8m0-4.8l-4.8 4.8"/></g>`, at)
	case removed:
		d.f(`<path %s class="removed" d="M-4-4l8 8m0-8l-8 8"/>`, at)
	case fault:
		d.f(`<path %s class="fault" d="M0-7L7 5.5H-7z"/>`, at)
	case turned:
		d.f(`<path %s class="turned" d="M-1-7h8l-3 3.5 3 3.5H1v7h-2z"/>`, at)
	default:
		d.f(`<circle %s class="%s" r="3.5"/>`, at, s)
	}
}

// pill draws how many there are of a shape.
func (d *drawing) pill(s shape, x, y float64, n int) {
	text, class := fmt.Sprint(n), "on"
	if s == denied || s == broke {
		text = "✗" + text
	}
	if s == challenge || s == ended || s == removed {
		class = "within"
	}
	half := 4 + wide(text)/2
	rx := 7.0
	if s == denied || s == broke || s == ended || s == fault {
		rx = 2
	}
	d.f(`<rect class="%s" x="%s" y="%s" width="%s" height="14" rx="%s"/>`, s, px(x-half), px(y-7), px(2*half), px(rx))
	d.text(x, y+3.5, class, "middle", text)
}

// meaning is what the legend says about a shape.
func meaning(s shape) string {
	for _, l := range legend {
		if l.shape == s {
			return l.text
		}
	}
	return string(s)
}

func (p *picture) title(i item) string {
	text := p.when(i.event) + " " + p.events[i.event].Summary
	if i.shape.bar() {
		text = meaning(i.shape) + ": " + text
	}
	return text
}

func (p *picture) when(event int) string {
	return p.events[event].Time.UTC().Format("2006-01-02 15:04:05.999")
}

func (p *picture) facts() string {
	if len(p.events) == 0 {
		return "nothing happened"
	}
	first, last := p.events[0].Time, p.events[len(p.events)-1].Time
	if last.Equal(first) {
		return fmt.Sprintf("%s at one instant of lab time, %s UTC", count(len(p.events), "event"), first.UTC().Format("Mon 2 Jan 2006 15:04:05"))
	}
	return fmt.Sprintf("%s of lab time from %s UTC · %s", span(last.Sub(first)), first.UTC().Format("Mon 2 Jan 2006 15:04:05"), count(len(p.events), "event"))
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// used are the entries of the legend for what is in the picture.
func (p *picture) used() []shape {
	seen := map[shape]bool{}
	for _, l := range p.lanes {
		for _, i := range l.items {
			seen[i.shape] = true
		}
	}
	var list []shape
	for _, l := range legend {
		if seen[l.shape] {
			list = append(list, l.shape)
		}
	}
	return list
}

// sample draws a shape for the legend, 26 wide around a height of 9.
func (d *drawing) sample(s shape) {
	switch {
	case !s.bar():
		d.point(s, 13, 9)
	case s == rest:
		d.f(`<rect class="rest" x="1" y="6" width="24" height="6" rx="2"/>`)
	default:
		d.f(`<rect class="%s" x="1" y="3" width="24" height="12" rx="2"/>`, s)
	}
}

// writeSVG writes the picture alone, on a ground of its own.
func (p *picture) writeSVG(w io.Writer) error {
	const top = 66
	var d drawing
	legendTop := top + p.height() + 8
	body := &drawing{}
	p.draw(body, drawingWidth)
	rows := &drawing{}
	x, y := 12.0, legendTop
	for _, s := range p.used() {
		need := 46 + 0.9*wide(meaning(s))
		if x+need > drawingWidth-12 {
			x, y = 12, y+20
		}
		rows.f(`<g transform="translate(%s %s)">`, px(x), px(y))
		rows.sample(s)
		rows.text(31, 13, "quiet", "", meaning(s))
		rows.f(`</g>`)
		x += need
	}
	for _, r := range p.remarks {
		y += 20
		rows.text(12, y+13, "quiet", "", r)
	}
	height := y + 30
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 %d %s" width="%[1]d" height="%[2]s" role="img" aria-labelledby="t">`, drawingWidth, px(height))
	d.f("<title id=\"t\">%s</title>\n<style>%s@media (prefers-color-scheme: dark) {\n%s}</style>\n", escape(p.summary()), paint(drawingCSS, 0), paint(drawingCSS, 1))
	d.f(`<rect class="ground" width="%d" height="%s" rx="8"/><rect class="line" x=".5" y=".5" width="%d" height="%s" rx="8"/>`, drawingWidth, px(height), drawingWidth-1, px(height-1))
	d.text(12, 27, "title", "", fit(p.about.Title, 760))
	d.text(drawingWidth-14, 27, p.verdictClass(), "end", p.verdict())
	d.text(12, 46, "quiet", "", p.facts())
	d.f("\n<g transform=\"translate(0 %d)\">%s</g>\n%s</svg>\n", top-8, body.String(), rows.String())
	_, err := io.WriteString(w, d.String())
	return err
}

func (p *picture) verdict() string {
	refusals := "no refusals"
	if p.refusals > 0 {
		refusals = count(p.refusals, "refusal")
	}
	mark := map[bool]string{true: "✗ ", false: "✓ "}[p.about.failed()]
	if p.about.Verdict == "" {
		return refusals
	}
	return mark + p.about.Verdict + " · " + refusals
}

func (p *picture) verdictClass() string {
	switch {
	case p.about.failed():
		return "badtext"
	case p.about.Verdict != "":
		return "goodtext"
	}
	return "group"
}

// summary says in a line what the picture shows.
func (p *picture) summary() string {
	return strings.Trim(p.about.Title+": "+p.facts()+", "+p.verdict(), ": ")
}

package timeline

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// The page: its frame, its style and its script. The script moves what was drawn, so that
// it can be zoomed; only points, ticks and the lines between a token's events are made anew.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// A page is what the frame is filled with. Texts are escaped by html/template;
// what is markup already was escaped when it was drawn.
type page struct {
	Policy   string
	Style    template.CSS
	Script   template.JS
	Title    string
	About    About
	Facts    string
	Verdict  string
	Failed   bool
	Picture  template.HTML
	Legend   []entry
	Remarks  []string
	Refusals []told
	More     string
	Data     data
}

type entry struct {
	Sample template.HTML
	Text   string
}

type told struct {
	Anchor, Summary, When, Times string
	Parts                        []part
}

// data is what the script places. Its names are short: there are thousands of them.
type data struct {
	Start  time.Time   `json:"start"`
	Total  float64     `json:"total"`
	Knots  [][2]number `json:"knots"` // place, milliseconds since the start
	Lanes  []dataLane  `json:"lanes"`
	Events []dataEvent `json:"events"`
	Shapes []dataShape `json:"shapes"`
	Drawn  measures    `json:"drawn"`
}

type dataLane struct {
	Group string  `json:"g"`
	Label string  `json:"l"`
	Rows  int     `json:"r"`
	Items [][]any `json:"i"` // shape, row, from, to, event, text
}

type dataEvent struct {
	ID      string `json:"i"`
	Time    number `json:"t"` // milliseconds since the start
	Kind    string `json:"k"`
	Summary string `json:"s"`
	Text    string `json:"x,omitempty"` // the explanation
	Refused bool   `json:"f,omitempty"`
	Kid     string `json:"kid,omitempty"`
	JTI     string `json:"jti,omitempty"`
	UTI     string `json:"uti,omitempty"`
}

type dataShape struct {
	Name    string `json:"n"`
	Bar     bool   `json:"b"`
	Meaning string `json:"m"`
	Symbol  string `json:"d"` // SVG of the point, ours alone
}

type measures struct {
	Gutter float64 `json:"gutter"`
	Right  float64 `json:"right"`
	Axis   float64 `json:"axis"`
	Row    float64 `json:"row"`
	Pad    float64 `json:"pad"`
	Bar    float64 `json:"bar"`
}

// number is a float with three digits, which is a microsecond, or a thousandth of an event's width.
type number float64

// MarshalJSON writes no more digits than there are.
func (n number) MarshalJSON() ([]byte, error) {
	text := fmt.Sprintf("%.3f", float64(n))
	return []byte(strings.TrimRight(strings.TrimRight(text, "0"), ".")), nil
}

// writePage parses its frame where it needs it, so that programs which draw nothing
// do not link package html/template: see harness.New.
func (p *picture) writePage(w io.Writer) error {
	frame, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	style := sheet()
	texts, left := p.explanations()
	refusals, anchors, more := p.tell(texts)
	d := &drawing{anchors: anchors, zooms: true}
	d.f(`<svg class="picture" viewBox="0 0 %d %s" role="img" aria-label="%s">`, drawingWidth, px(p.height()), escape(p.summary()))
	p.draw(d, drawingWidth)
	d.f("</svg>")
	if left > 0 {
		p.remarks = append(p.remarks, fmt.Sprintf("%s are without a full explanation here, for the size of this file; wiemu explain has them.", count(left, "event")))
	}
	return frame.Execute(w, page{
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", digest(style), digest(pageJS)),
		Style:  template.CSS(style), Script: template.JS(pageJS), //nolint:gosec // ours, no data in it
		Title: p.about.Title, About: p.about, Facts: p.facts(), Verdict: p.verdict(), Failed: p.about.failed(),
		Picture: template.HTML(d.String()), //nolint:gosec // escaped where it was drawn
		Legend:  p.entries(), Remarks: p.remarks, Refusals: refusals, More: more, Data: p.data(texts),
	})
}

// digest lets a Content-Security-Policy name an inline element by its text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p *picture) entries() []entry {
	var list []entry
	for _, s := range p.used() {
		var d drawing
		d.f(`<svg class="picture" width="26" height="18" aria-hidden="true">`)
		d.sample(s)
		d.f(`</svg>`)
		list = append(list, entry{template.HTML(d.String()), meaning(s)}) //nolint:gosec // ours, no data in it
	}
	return list
}

// tell returns refusals with their explanations, and where each event's is.
func (p *picture) tell(texts []string) (list []told, anchors map[int]string, more string) {
	anchors = map[int]string{}
	groups := p.refusalsOf()
	if left := len(groups) - maxGroups; left > 0 {
		more = fmt.Sprintf("… and %d more kinds of refusal", left)
		groups = groups[:maxGroups]
	}
	for n, r := range groups {
		t := told{Anchor: fmt.Sprintf("refusal-%d", n+1), Summary: r.Summary, When: p.when(r.Event)}
		if len(r.Events) > 1 {
			t.Times = fmt.Sprintf("%d times", len(r.Events))
			t.When = p.when(r.Events[0]) + " to " + p.when(r.Event)
		}
		t.Parts = parts(cmp.Or(texts[r.Event], p.index.explain(r.Event)))
		for _, i := range r.Events {
			anchors[i] = t.Anchor
		}
		list = append(list, t)
	}
	return list, anchors, more
}

func (p *picture) data(texts []string) data {
	out := data{
		Total: p.axis.total, Lanes: []dataLane{}, Events: []dataEvent{}, Knots: [][2]number{},
		Drawn: measures{gutter, rightMargin, axisHeight, rowHeight, lanePad, barHeight},
	}
	if len(p.events) > 0 {
		out.Start = p.events[0].Time.UTC()
	}
	since := func(t time.Time) number { return number(float64(t.Sub(out.Start)) / float64(time.Millisecond)) }
	for n, k := range p.axis.knots {
		if n > 0 && n+1 < len(p.axis.knots) && p.axis.knots[n-1].t.Equal(k.t) && p.axis.knots[n+1].t.Equal(k.t) {
			continue // within an instant
		}
		out.Knots = append(out.Knots, [2]number{number(k.x), since(k.t)})
	}
	shapes := map[shape]int{}
	for n, l := range legend {
		shapes[l.shape] = n
		var d drawing
		if !l.shape.bar() {
			d.point(l.shape, 0, 0)
		}
		out.Shapes = append(out.Shapes, dataShape{string(l.shape), l.shape.bar(), l.text, d.String()})
	}
	for _, l := range p.lanes {
		lane := dataLane{Group: l.group, Label: l.label, Rows: l.rows, Items: [][]any{}}
		for _, i := range l.items {
			fields := []any{shapes[i.shape], i.row, number(i.from), number(i.to), i.event}
			if i.text != "" {
				fields = append(fields, i.text)
			}
			lane.Items = append(lane.Items, fields)
		}
		out.Lanes = append(out.Lanes, lane)
	}
	for i, e := range p.events {
		out.Events = append(out.Events, dataEvent{e.ID, since(e.Time), string(e.Kind), e.Summary, texts[i], refused(e), e.Kid, e.JTI, e.UTI})
	}
	return out
}

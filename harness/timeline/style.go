package timeline

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

// palette is the colours of the style sheet by their names there, on a light and
// on a dark ground. Texts have a contrast of 4.5 at least, marks of 3.
var palette = map[string][2]string{
	"ground":     {"#ffffff", "#12171d"},
	"panel":      {"#f5f7f9", "#1a2129"},
	"stripe":     {"#f7f9fb", "#161c23"},
	"line":       {"#dfe5ea", "#2b353f"},
	"text":       {"#17212b", "#e8edf2"},
	"quiet":      {"#586573", "#9daab7"},
	"good":       {"#1a7f37", "#4cc265"},
	"bad":        {"#c9191e", "#ff7a72"},
	"badpale":    {"#fde3e2", "#4a1d1f"},
	"key":        {"#7048b6", "#b694f0"},
	"keypale":    {"#e4d9f6", "#43345f"},
	"file":       {"#0b62b8", "#62adff"},
	"filepale":   {"#cfe3f8", "#1d3a58"},
	"access":     {"#0d7268", "#3ccfbd"},
	"accesspale": {"#cdeae6", "#17403c"},
	"clock":      {"#8a5a00", "#dba637"},
	"clockpale":  {"#f8ead0", "#3d3118"},
	"fault":      {"#b3480a", "#f5924a"},
	"faultpale":  {"#fbe3d3", "#48290f"},
	"onmark":     {"#ffffff", "#12171d"},
}

// drawingCSS is the style of the drawing, with $name where a colour goes.
//
//go:embed drawing.css
var drawingCSS string

// paint puts colours into a style sheet: those of a ground, 0 for light and 1
// for dark.
func paint(css string, ground int) string {
	return fill(css, func(name string) string { return palette[name][ground] })
}

// variables puts CSS variables into a style sheet, for a page whose ground changes.
func variables(css string) string {
	return fill(css, func(name string) string { return "var(--" + name + ")" })
}

// sheet is the style of a page: colours as its reader likes them, or as the page
// was told.
func sheet() string {
	light, dark := "color-scheme:light;"+declare(0), "color-scheme:dark;"+declare(1)
	return ":root{" + light + "}\n@media (prefers-color-scheme:dark){:root{" + dark + "}}\n" +
		":root[data-theme=light]{" + light + "}\n:root[data-theme=dark]{" + dark + "}\n" + variables(drawingCSS) + variables(pageCSS)
}

// declare writes the variables for a ground.
func declare(ground int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(palette)) {
		b.WriteString("--" + name + ":" + palette[name][ground] + ";")
	}
	return b.String()
}

func fill(css string, colour func(name string) string) string {
	var pairs []string
	for name := range palette {
		pairs = append(pairs, "$("+name+")", colour(name))
	}
	return strings.NewReplacer(pairs...).Replace(css)
}

package yamlfile

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func (v Value) scalar(target reflect.Value) {
	if v.loose && resolves(v.Node) {
		v.looseScalar(target)
		return
	}
	switch target.Kind() {
	case reflect.String:
		if text, ok := v.textOf(); ok {
			target.SetString(text)
		}
	case reflect.Bool:
		v.bool(target)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.integer(target)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.natural(target)
	case reflect.Float32, reflect.Float64:
		v.float(target)
	default:
		panic(fmt.Sprintf("yamlfile: decoding into %s, which is not supported", target.Type()))
	}
}

// textOf is the value as text. Numbers, true and false are not: whoever wrote
// 1e5 or 007 as a name would get another one back.
func (v Value) textOf() (string, bool) {
	if v.Node.Kind == yaml.ScalarNode {
		switch v.Node.ShortTag() {
		case "!!str", "!!timestamp": // a date is text unless a time is expected
			return v.Node.Value, true
		case "!!int", "!!float", "!!bool":
			v.Refuse("text", "", fmt.Sprintf("put it in quotes: %q", v.Node.Value))
			return "", false
		}
	}
	v.Refuse("text", "", "")
	return "", false
}

func (v Value) text(t encoding.TextUnmarshaler) {
	var text string
	if !v.Decode(&text) {
		return
	}
	if err := t.UnmarshalText([]byte(text)); err != nil {
		v.Refuse(err.Error(), "", "")
	}
}

func (v Value) bool(target reflect.Value) {
	if v.Node.Kind == yaml.ScalarNode && v.Node.ShortTag() == "!!bool" {
		target.SetBool(strings.EqualFold(v.Node.Value, "true"))
		return
	}
	v.Refuse("true or false", "", yesNoFix(v.Node))
}

// YAML 1.1 knew more words for true and false than 1.2 does.
func yesNoFix(node *yaml.Node) string {
	switch strings.ToLower(node.Value) {
	case "yes", "y", "on":
		return "write true"
	case "no", "n", "off":
		return "write false"
	case "true", "false":
		return "write it without quotes"
	}
	return ""
}

func (v Value) integer(target reflect.Value) {
	n, err := strconv.ParseInt(v.digits(), 0, target.Type().Bits())
	if err != nil {
		v.Refuse(fmt.Sprintf("a whole number of at most %d bits", target.Type().Bits()), "", numberFix(v.Node))
		return
	}
	target.SetInt(n)
}

func (v Value) natural(target reflect.Value) {
	n, err := strconv.ParseUint(v.digits(), 0, target.Type().Bits())
	if err != nil {
		v.Refuse(fmt.Sprintf("a whole number of at most %d bits, not negative", target.Type().Bits()), "", numberFix(v.Node))
		return
	}
	target.SetUint(n)
}

// digits is the text of an integer as Go reads it, or "" if the value is none.
func (v Value) digits() string {
	if v.Node.Kind != yaml.ScalarNode || v.Node.ShortTag() != "!!int" {
		return ""
	}
	return strings.TrimPrefix(v.Node.Value, "+")
}

func (v Value) float(target reflect.Value) {
	var f float64
	tag := v.Node.ShortTag()
	if v.Node.Kind != yaml.ScalarNode || tag != "!!float" && tag != "!!int" || v.Node.Decode(&f) != nil {
		v.Refuse("a number", "", numberFix(v.Node))
		return
	}
	target.SetFloat(f)
}

func numberFix(node *yaml.Node) string {
	if node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		return "write it without quotes"
	}
	return ""
}

func (v Value) duration(target *time.Duration) {
	const expected = "a duration such as 90s, 10m or 1h30m"
	if v.Node.Kind != yaml.ScalarNode {
		v.Refuse(expected, "", "")
		return
	}
	d, err := time.ParseDuration(v.Node.Value)
	switch {
	case err == nil:
		*target = d
	case v.Node.ShortTag() == "!!int" || v.Node.ShortTag() == "!!float":
		v.Refuse(expected, "", fmt.Sprintf("give the unit: %ss", v.Node.Value))
	case strings.HasSuffix(v.Node.Value, "d"):
		v.Refuse(expected, "", "write days in hours: a day is 24h")
	default:
		v.Refuse(expected, "", "")
	}
}

func (v Value) time(target *time.Time) {
	const expected = "a time such as 2026-11-23T10:04:05Z"
	if v.Node.Kind == yaml.ScalarNode {
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, v.Node.Value); err == nil {
				*target = t.UTC()
				return
			}
		}
	}
	v.Refuse(expected, "", "write it as RFC 3339, with Z or an offset, or as a date alone")
}

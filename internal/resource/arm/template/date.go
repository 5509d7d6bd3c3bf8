package template

import (
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// dates are the functions about time.
func dates() map[string]function {
	return map[string]function{
		"utcnow": {0, 1, nowhere, func(e *environment, args []any) (any, error) {
			if !e.deployment.defaults {
				return nil, failf("the function is not expected at this location: it may only be used in default values of parameters.")
			}
			return formatTime(e.deployment.Now.UTC(), args)
		}},
		"datetimeadd": {2, 3, nowhere, func(_ *environment, args []any) (any, error) {
			s, err := stringsOf(args[:2])
			if err != nil {
				return nil, err
			}
			t, err := parseTime(s[0])
			if err != nil {
				return nil, err
			}
			if t, err = addDuration(t, s[1]); err != nil {
				return nil, err
			}
			return formatTime(t, args[2:])
		}},
		"datetimefromepoch": {1, 1, nowhere, func(_ *environment, args []any) (any, error) {
			n, err := integer(args, 0)
			if err != nil {
				return nil, err
			}
			if n < -62135596800 || n > 253402300799 {
				return nil, failf("the argument is no point in time.")
			}
			return time.Unix(n, 0).UTC().Format("2006-01-02T15:04:05Z"), nil
		}},
		"datetimetoepoch": onTexts(1, 1, func(_ *environment, s []string) (any, error) {
			t, err := parseTime(s[0])
			if err != nil {
				return nil, err
			}
			return t.Unix(), nil
		}),
	}
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "20060102T150405Z", "2006-01-02 15:04:05Z", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, failf("'%s' is no point in time.", shortened(s))
}

func addDuration(t time.Time, text string) (time.Time, error) {
	m := isoDuration().FindStringSubmatch(text)
	if m == nil {
		return t, failf("'%s' is no duration of ISO 8601.", shortened(text))
	}
	sign := 1
	if m[1] == "-" {
		sign = -1
	}
	n := make([]int, len(m))
	for i := 2; i < len(m); i++ {
		n[i], _ = strconv.Atoi(m[i]) // up to six digits, or none
		n[i] *= sign
	}
	t = t.AddDate(n[2], n[3], 7*n[4]+n[5]).Add(time.Duration(n[6])*time.Hour + time.Duration(n[7])*time.Minute + time.Duration(n[8])*time.Second)
	if t.Year() < 1 || t.Year() > 9999 {
		return t, failf("the result is no point in time of .NET.")
	}
	return t, nil
}

// formatTime is a point in time in one of .NET's standard formats, or in a format made of its
// letters.
func formatTime(t time.Time, args []any) (any, error) {
	how := ""
	if len(args) > 0 {
		var err error
		if how, err = stringOf(args, 0); err != nil {
			return nil, err
		}
	}
	if layout, ok := formats[how]; ok {
		return strings.Replace(t.Format(layout), "UTC", "GMT", 1), nil
	}
	return custom(t, how)
}

func custom(t time.Time, how string) (any, error) {
	var out strings.Builder
	for i := 0; i < len(how); {
		c := how[i]
		n := 1
		for i+n < len(how) && how[i+n] == c {
			n++
		}
		run := how[i : i+n]
		i += n
		switch layout, ok := customLetters[run]; {
		case ok:
			out.WriteString(t.Format(layout))
		case c == 'f' && n <= 7:
			out.WriteString(t.Format("." + strings.Repeat("0", n))[1:])
		case run == "H":
			out.WriteString(strconv.Itoa(t.Hour()))
		case c == 'T' || c == 'Z' || strings.IndexByte("-:/. _,0123456789", c) >= 0:
			out.WriteString(run)
		default:
			return nil, unsupportedf("The format '%s' of time", shortened(how))
		}
	}
	return out.String(), nil
}

var isoDuration = lazyregexp.New(`^(-?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?$`)

// formats are .NET's standard formats of time, as far as they do not depend on a language.
var formats = map[string]string{"": "20060102T150405Z", "u": "2006-01-02 15:04:05Z", "s": "2006-01-02T15:04:05", "o": "2006-01-02T15:04:05.0000000Z", "O": "2006-01-02T15:04:05.0000000Z", "d": "01/02/2006", "r": time.RFC1123, "R": time.RFC1123}

var customLetters = map[string]string{
	"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dddd": "Monday", "ddd": "Mon", "dd": "02", "d": "2",
	"HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "tt": "PM",
}

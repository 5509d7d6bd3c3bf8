package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scopes are the functions about where the deployment is.
func scopes() map[string]function {
	of := func(do func(d *Deployment) any) function {
		return function{0, 0, nowhere, func(e *environment, _ []any) (any, error) { return do(e.deployment), nil }}
	}
	return map[string]function{
		"deployment":   of(func(d *Deployment) any { return d.Self }),
		"environment":  of(func(d *Deployment) any { return d.Environment }),
		"tenant":       of(func(d *Deployment) any { return d.Tenant }),
		"subscription": of(func(d *Deployment) any { return d.Subscription }),
		"resourcegroup": {0, 0, nowhere, func(e *environment, _ []any) (any, error) {
			if e.deployment.Group == nil {
				return nil, failf("The template function 'RESOURCEGROUP' is not expected at this location. Please see https://aka.ms/arm-functions for usage details.") // seen in many logs of deployments to subscriptions
			}
			return e.deployment.Group, nil
		}},
		"resourceid":             {2, -1, nowhere, resourceID},
		"subscriptionresourceid": {2, -1, nowhere, subscriptionResourceID},
		"tenantresourceid": {2, -1, nowhere, func(_ *environment, args []any) (any, error) {
			s, err := stringsOf(args)
			if err != nil {
				return nil, err
			}
			return below("", s[0], s[1:])
		}},
		"extensionresourceid": {3, -1, nowhere, func(_ *environment, args []any) (any, error) {
			s, err := stringsOf(args)
			if err != nil {
				return nil, err
			}
			return below(strings.TrimSuffix(s[0], "/"), s[1], s[2:])
		}},
	}
}

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// below is the id of a resource on a scope, of its type and the names of its segments.
// Source: the text is that of many logs.
func below(scope, kind string, names []string) (string, error) {
	segments := strings.Split(kind, "/")
	names = strings.Split(strings.Join(names, "/"), "/")
	if len(segments) < 2 || slices.Contains(segments, "") {
		return "", failf("the type '%s' requires at least 2 segments.", kind)
	}
	if len(names) != len(segments)-1 {
		return "", failf("the type '%s' requires '%d' resource name argument(s).", kind, len(segments)-1)
	}
	id := scope + "/providers/" + segments[0]
	for i, name := range names {
		id += "/" + segments[i+1] + "/" + name
	}
	return id, nil
}

// typeAt is where the type is among the arguments of resourceId: before it there may be a
// subscription and a resource group.
func typeAt(s []string) int {
	return slices.IndexFunc(s, func(a string) bool { return strings.Contains(a, "/") && strings.Contains(a, ".") })
}

// resourceID is resourceId([subscription,] [group,] type, name…).
func resourceID(e *environment, args []any) (any, error) {
	s, err := stringsOf(args)
	if err != nil {
		return nil, err
	}
	at := typeAt(s)
	if at < 0 || at > 2 {
		return nil, failf("the fully qualified resource type must be one of the first three arguments.")
	}
	d := e.deployment
	scope, before := "/subscriptions/"+d.Subscription.Text("subscriptionId"), s[:at]
	if len(before) > 0 && guid.MatchString(before[0]) {
		scope, before = "/subscriptions/"+before[0], before[1:]
		if at == 1 && d.Group != nil {
			scope += "/resourceGroups/" + d.Group.Text("name")
		}
	} else if len(before) == 0 && d.Group != nil {
		scope += "/resourceGroups/" + d.Group.Text("name")
	}
	if len(before) > 1 {
		return nil, failf("'%s' is no subscription id.", before[0])
	}
	if len(before) == 1 {
		scope += "/resourceGroups/" + before[0]
	}
	return idOf(scope, s[at], s[at+1:])
}

// idOf is below, and the id of a resource group, which is built in another way.
func idOf(scope, kind string, names []string) (any, error) {
	if strings.EqualFold(kind, groupType) && len(names) == 1 {
		segments := strings.SplitN(scope, "/", 4)
		return strings.Join(segments[:min(3, len(segments))], "/") + "/resourceGroups/" + names[0], nil
	}
	id, err := below(scope, kind, names)
	if err != nil {
		return nil, err
	}
	return id, nil
}

func subscriptionResourceID(e *environment, args []any) (any, error) {
	s, err := stringsOf(args)
	if err != nil {
		return nil, err
	}
	id := e.deployment.Subscription.Text("subscriptionId")
	if guid.MatchString(s[0]) {
		id, s = s[0], s[1:]
	}
	if len(s) < 2 {
		return nil, failf("the type and the name of a resource are required.")
	}
	return idOf("/subscriptions/"+id, s[0], s[1:])
}

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
		"datetimetoepoch": {1, 1, nowhere, func(_ *environment, args []any) (any, error) {
			s, err := stringOf(args, 0)
			if err != nil {
				return nil, err
			}
			t, err := parseTime(s)
			if err != nil {
				return nil, err
			}
			return t.Unix(), nil
		}},
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

var isoDuration = regexp.MustCompile(`^(-?)P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?$`)

func addDuration(t time.Time, text string) (time.Time, error) {
	m := isoDuration.FindStringSubmatch(text)
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

// formats are .NET's standard formats of time, as far as they do not depend on a language.
var formats = map[string]string{"": "20060102T150405Z", "u": "2006-01-02 15:04:05Z", "s": "2006-01-02T15:04:05", "o": "2006-01-02T15:04:05.0000000Z", "O": "2006-01-02T15:04:05.0000000Z", "d": "01/02/2006", "r": time.RFC1123, "R": time.RFC1123}

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

var customLetters = map[string]string{
	"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dddd": "Monday", "ddd": "Mon", "dd": "02", "d": "2",
	"HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "tt": "PM",
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

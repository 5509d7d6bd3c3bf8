package template

import (
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
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
		"resourceid":             onTexts(2, -1, resourceID),
		"subscriptionresourceid": onTexts(2, -1, subscriptionResourceID),
		"tenantresourceid":       onTexts(2, -1, func(_ *environment, s []string) (any, error) { return below("", s[0], s[1:]) }),
		"extensionresourceid": onTexts(3, -1, func(_ *environment, s []string) (any, error) {
			return below(strings.TrimSuffix(s[0], "/"), s[1], s[2:])
		}),
	}
}

var guid = lazyregexp.New(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

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
func resourceID(e *environment, s []string) (any, error) {
	at := typeAt(s)
	if at < 0 || at > 2 {
		return nil, failf("the fully qualified resource type must be one of the first three arguments.")
	}
	d := e.deployment
	scope, before := "/subscriptions/"+d.Subscription.Text("subscriptionId"), s[:at]
	if len(before) > 0 && guid().MatchString(before[0]) {
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
	return below(scope, kind, names)
}

func subscriptionResourceID(e *environment, s []string) (any, error) {
	id := e.deployment.Subscription.Text("subscriptionId")
	if guid().MatchString(s[0]) {
		id, s = s[0], s[1:]
	}
	if len(s) < 2 {
		return nil, failf("the type and the name of a resource are required.")
	}
	return idOf("/subscriptions/"+id, s[0], s[1:])
}

package graph

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// The sizes of a page. Source: Graph's reference of directory objects.
const (
	defaultTop = 100
	maxTop     = 999
)

type collection struct {
	kind       string   // as in error messages
	prototype  entity   // an object of the kind, for its property names
	filterable []string // by eq
	exact      bool     // $filter compares with regard to case
}

// query is the part of OData's query options that is understood.
type query struct {
	filter []comparison
	names  []string // of $select; nil for all
	top    int
	after  string // the key of the last object of the page before
}

// read parses the query options of a request for this kind of object.
func (k collection) read(values url.Values) (query, *resource.Failure) {
	q := query{top: defaultTop}
	for name := range values {
		if strings.HasPrefix(name, "$") && !slices.Contains([]string{"$filter", "$select", "$top", "$skiptoken"}, name) {
			return q, notEmulated("the query option " + name + ", only $filter, $select, $top and $skiptoken")
		}
	}
	for _, option := range []func(url.Values, *query) *resource.Failure{k.readFilter, k.readSelect, readTop, readSkipToken} {
		if failed := option(values, &q); failed != nil {
			return q, failed
		}
	}
	return q, nil
}

func (k collection) readFilter(values url.Values, q *query) *resource.Failure {
	if !values.Has("$filter") {
		return nil
	}
	comparisons, err := parseFilter(strings.TrimSpace(values.Get("$filter")))
	if errors.Is(err, errOperator) {
		return notEmulated("this $filter, only comparisons by eq that are joined by and")
	}
	if err != nil {
		return badQuery("BadRequest", "Invalid filter clause: %v.", err)
	}
	for i, c := range comparisons {
		p, ok := k.prototype.get(c.property)
		if !ok {
			return badQuery("BadRequest", "Invalid filter clause: Could not find a property named '%s' on type '%s'.", c.property, k.kind)
		}
		if !slices.Contains(k.filterable, p.name) {
			return badQuery("Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '%s' of resource '%s'.", p.name, k.kind)
		}
		comparisons[i].property = p.name
	}
	q.filter = comparisons
	return nil
}

func (k collection) readSelect(values url.Values, q *query) *resource.Failure {
	if !values.Has("$select") {
		return nil
	}
	for name := range strings.SplitSeq(values.Get("$select"), ",") {
		name = strings.TrimSpace(name)
		if name == "*" {
			q.names = nil
			return nil
		}
		p, ok := k.prototype.get(name)
		if !ok {
			return badQuery("BadRequest", "Parsing OData Select and Expand failed: Could not find a property named '%s' on type '%s'.", name, k.kind)
		}
		q.names = append(q.names, p.name)
	}
	return nil
}

func readTop(values url.Values, q *query) *resource.Failure {
	text := values.Get("$top")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxTop {
		return badQuery("Request_BadRequest", "Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", text, maxTop)
	}
	q.top = n
	return nil
}

func readSkipToken(values url.Values, q *query) *resource.Failure {
	text := values.Get("$skiptoken")
	if text == "" {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) == 0 {
		return badQuery("Request_BadRequest", "Invalid $skiptoken specified: '%s'.", text)
	}
	q.after = string(data)
	return nil
}

// matches reports whether an object passes the filter.
func (q query) matches(e entity, exact bool) bool {
	for _, c := range q.filter {
		if !e.equals(c, exact) {
			return false
		}
	}
	return true
}

func (q query) by(property string) (value string, ok bool) {
	for _, c := range q.filter {
		if c.property == property {
			return c.value, true
		}
	}
	return "", false
}

func (q query) shape(e entity) entity {
	if q.names == nil {
		return e
	}
	return e.only(q.names)
}

func (c *call) context(what string, q query, suffix string) property {
	if q.names != nil {
		what += "(" + strings.Join(q.names, ",") + ")"
	}
	return property{"@odata.context", fmt.Sprintf("https://%s/%s/$metadata#%s%s", c.kit.Cloud().Graph, c.version(), what, suffix)}
}

// nextLink is the address of the page after the key.
func (c *call) nextLink(after string) string {
	values := c.Request.URL.Query()
	values.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(after)))
	text := strings.ReplaceAll(values.Encode(), "%24", "$") // as Graph writes its options
	return "https://" + c.Request.Host + httppath.Original(c.Request) + "?" + text
}

func (c *call) version() string { return c.Vars["version"] }

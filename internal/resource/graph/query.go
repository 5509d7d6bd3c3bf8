package graph

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
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
	filterable []string // by eq and in
	texts      []string // those by which startswith filters, too
	lists      []string // those that any filters by
	exact      bool     // $filter compares with regard to case
}

// query is the part of OData's query options that is understood.
type query struct {
	filter *clause
	names  []string // of $select; nil for all
	top    int
	order  string // the property to sort by; "" for the directory's order
	down   bool   // sorted from the last to the first
	count  bool   // @odata.count is asked for

	afterID string // of the last object of the page before
	afterAt int    // where that was
}

// eventual reports whether the client accepts answers that are behind, which advanced queries
// demand.
func eventual(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("ConsistencyLevel"), "eventual")
}

// read parses the query options of a request for this kind of object.
func (k collection) read(r *http.Request) (query, *resource.Failure) {
	values := r.URL.Query()
	q := query{top: defaultTop}
	for name := range values {
		if strings.HasPrefix(name, "$") && !slices.Contains([]string{"$filter", "$select", "$top", "$skiptoken", "$count", "$orderby"}, name) {
			return q, notEmulated("the query option " + name + ", only $filter, $select, $top, $skiptoken, $count and $orderby")
		}
	}
	q.count = values.Get("$count") == "true" && eventual(r) // without the header it is passed over
	for _, option := range []func(url.Values, *query) *resource.Failure{k.readFilter, k.readSelect, k.readOrder, readTop, readSkipToken} {
		if failed := option(values, &q); failed != nil {
			return q, failed
		}
	}
	if q.filter != nil && q.filter.advanced() && !eventual(r) {
		failed := badQuery("Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '%s' of resource '%s'.", q.filter.first(), k.short())
		failed.Meaning, failed.Remedy = "ne, not and endsWith are part of advanced queries.", "Send the header ConsistencyLevel: eventual and $count=true."
		return q, failed
	}
	return q, nil
}

// short is the kind as the directory calls it, such as Application.
func (k collection) short() string {
	name := k.kind[strings.LastIndexByte(k.kind, '.')+1:]
	return strings.ToUpper(name[:1]) + name[1:]
}

// first is the property of the first comparison.
func (c *clause) first() (name string) {
	c.comparisons(func(one *clause) bool { name = one.property; return false })
	return name
}

func (k collection) readFilter(values url.Values, q *query) *resource.Failure {
	if !values.Has("$filter") {
		return nil
	}
	parsed, err := parseFilter(strings.TrimSpace(values.Get("$filter")))
	if errors.Is(err, errOperator) {
		return notEmulated("this $filter, only comparisons by eq, ne, in, startswith, endswith and any that are joined by and, or and not")
	}
	if err != nil {
		return badQuery("BadRequest", "Invalid filter clause: %v.", err)
	}
	var failed *resource.Failure
	parsed.comparisons(func(c *clause) bool {
		failed = k.checkComparison(c)
		return failed == nil
	})
	q.filter = &parsed
	return failed
}

// checkComparison refuses what the kind cannot be filtered by, and spells the property as it does.
func (k collection) checkComparison(c *clause) *resource.Failure {
	p, ok := k.prototype.get(c.property)
	if !ok {
		return badQuery("BadRequest", "Invalid filter clause: Could not find a property named '%s' on type '%s'.", c.property, k.kind)
	}
	permitted := k.filterable
	switch c.operator {
	case "startswith", "endswith":
		permitted = k.texts
	case "any":
		permitted = k.lists
	}
	if !slices.Contains(permitted, p.name) {
		return badQuery("Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified for property '%s' of resource '%s'.", p.name, k.short())
	}
	c.property = p.name
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

func (k collection) readOrder(values url.Values, q *query) *resource.Failure {
	text := strings.Fields(values.Get("$orderby"))
	if len(text) == 0 {
		return nil
	}
	p, ok := k.prototype.get(text[0])
	if !ok {
		return badQuery("BadRequest", "Could not find a property named '%s' on type '%s'.", text[0], k.kind)
	}
	if len(text) > 2 || len(text) == 2 && text[1] != "asc" && text[1] != "desc" {
		return badQuery("BadRequest", "Syntax error at position %d in '%s'.", len(text[0])+1, values.Get("$orderby")) // text inferred
	}
	if !slices.Contains(k.texts, p.name) {
		return badQuery("Request_UnsupportedQuery", "Sorting not supported for current query.") // seen for users, without the header
	}
	q.order, q.down = p.name, len(text) == 2 && text[1] == "desc"
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

// readSkipToken reads what nextLink made.
func readSkipToken(values url.Values, q *query) *resource.Failure {
	text := values.Get("$skiptoken")
	if text == "" {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	at, id, ok := strings.Cut(string(data), " ")
	if err == nil {
		q.afterAt, err = strconv.Atoi(at)
	}
	if err != nil || !ok || id == "" || q.afterAt < 0 {
		return badQuery("Request_BadRequest", "Invalid $skiptoken specified: '%s'.", text)
	}
	q.afterID = id
	return nil
}

// objects is what a list is made of. Only what is shown, or filtered by a property that is not at
// hand, is made into an entity: a page of many objects costs what it shows.
type objects struct {
	number int
	id     func(i int) string
	quick  func(i int, property string) (value any, ok bool) // if nil, none is at hand
	entity func(i int) entity                                // nil if there is no such object after all
}

// entities are objects that are there already.
func entities(all []entity) objects {
	return objects{
		number: len(all),
		id: func(i int) string {
			id, _ := all[i].get("id")
			text, _ := id.value.(string)
			return text
		},
		entity: func(i int) entity { return all[i] },
	}
}

func (o objects) get(i int, name string) any {
	if o.quick != nil {
		if value, ok := o.quick(i, name); ok {
			return value
		}
	}
	p, _ := o.entity(i).get(name)
	return p.value
}

// ordered are the places of the objects as the query sorts them.
func (o objects) ordered(q query) []int {
	places := make([]int, o.number)
	for i := range places {
		places[i] = i
	}
	if q.order == "" {
		return places
	}
	slices.SortStableFunc(places, func(a, b int) int {
		first, _ := o.get(a, q.order).(string)
		second, _ := o.get(b, q.order).(string)
		order := cmp.Compare(strings.ToLower(first), strings.ToLower(second))
		if q.down {
			return -order
		}
		return order
	})
	return places
}

// after is the first place of the page that is asked for.
func (o objects) after(q query, places []int) int {
	if q.afterID == "" {
		return 0
	}
	if q.afterAt < len(places) && o.id(places[q.afterAt]) == q.afterID {
		return q.afterAt + 1
	}
	if at := slices.IndexFunc(places, func(i int) bool { return o.id(i) == q.afterID }); at >= 0 {
		return at + 1
	}
	return min(q.afterAt, len(places)) // it is gone, and those behind have moved up
}

func (o objects) matches(q query, i int, exact bool) bool {
	return q.filter == nil || q.filter.matches(func(name string) any { return o.get(i, name) }, exact)
}

// count is how many objects pass the filter.
func (o objects) count(q query, exact bool) (n int) {
	for i := range o.number {
		if o.matches(q, i, exact) && o.entity(i) != nil {
			n++
		}
	}
	return n
}

// list answers with a page of the objects that pass the filter.
func (c *call) list(kind collection, context string, all func(query) objects) (resource.Answer, *resource.Failure) {
	q, failed := kind.read(c.Request)
	if failed != nil {
		return resource.Answer{}, failed
	}
	found := all(q)
	places := found.ordered(q)
	page, last, next := []entity{}, 0, ""
	for at := found.after(q, places); at < len(places); at++ {
		i := places[at]
		if !found.matches(q, i, kind.exact) {
			continue
		}
		if len(page) == q.top {
			next = c.nextLink(last, found.id(places[last]))
			break
		}
		if e := found.entity(i); e != nil {
			page, last = append(page, q.shape(e)), at
		}
	}
	answer := entity{c.context(context, q, "")}
	if q.count {
		answer = append(answer, property{"@odata.count", found.count(q, kind.exact)})
	}
	if next != "" {
		answer = append(answer, property{"@odata.nextLink", next})
	}
	return resource.Answer{Body: append(answer, property{"value", page})}, nil
}

// number answers a request for a collection's $count, with text.
// Source: microsoft-graph-docs-contrib, concepts/aad-advanced-queries.md, which has the refusal.
func (c *call) number(kind collection, all func(query) objects) (resource.Answer, *resource.Failure) {
	if !eventual(c.Request) {
		failed := badQuery("Request_BadRequest", "$count is not currently supported.")
		failed.Meaning, failed.Remedy = "Counting is part of advanced queries.", "Send the header ConsistencyLevel: eventual."
		return resource.Answer{}, failed
	}
	q, failed := kind.read(c.Request)
	if failed != nil {
		return resource.Answer{}, failed
	}
	return resource.Answer{Body: all(q).count(q, kind.exact)}, nil
}

func (c *call) one(kind collection, context string, e entity) (resource.Answer, *resource.Failure) {
	q, failed := kind.read(c.Request)
	if failed != nil {
		return resource.Answer{}, failed
	}
	return resource.Answer{Body: append(entity{c.context(context, q, "/$entity")}, q.shape(e)...)}, nil
}

func (q query) by(property string) (value string, ok bool) {
	if q.filter == nil {
		return "", false
	}
	return q.filter.by(property)
}

// shape returns the members of an entity that $select names, in the entity's order.
func (q query) shape(e entity) entity {
	if q.names == nil {
		return e
	}
	return slices.DeleteFunc(slices.Clone(e), func(p property) bool { return !slices.Contains(q.names, p.name) })
}

func (c *call) context(what string, q query, suffix string) property {
	if q.names != nil {
		what += "(" + strings.Join(q.names, ",") + ")"
	}
	return property{"@odata.context", fmt.Sprintf("https://%s/%s/$metadata#%s%s", c.kit.Cloud().Graph, c.version(), what, suffix)}
}

// nextLink is the address of the page after an object.
func (c *call) nextLink(at int, id string) string {
	values := c.Request.URL.Query()
	values.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(at)+" "+id)))
	text := strings.ReplaceAll(values.Encode(), "%24", "$") // as Graph writes its options
	return "https://" + c.Request.Host + httppath.Original(c.Request) + "?" + text
}

func (c *call) version() string { return c.Vars["version"] }

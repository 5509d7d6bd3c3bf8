package rest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// MaxBody is the longest request body, in bytes.
const MaxBody = 4 << 20

// MaxBodyWithoutLength is the longest body, in bytes, of a request without Content-Length: room is
// held for as much while it is read, which others wait for. Those of deployments may have MaxBody.
const MaxBodyWithoutLength = 1 << 20

// Content is the request's body.
func (c *Call) Content() ([]byte, *resource.Failure) {
	data, err := io.ReadAll(io.LimitReader(c.Request.Body, MaxBody+1))
	switch {
	case len(data) > MaxBody:
		return nil, tooLarge()
	case err != nil:
		return nil, BadRequest("InvalidRequestContent", fmt.Sprintf("The request content was invalid and could not be deserialized: '%v'.", err), "The body of the request breaks off.")
	}
	return data, nil
}

// tooLarge refuses a body that is too long.
// Seen: code and text in Azure/azure-api-management-devops-resource-kit#594 (2021) and
// Azure/Azure-Landing-Zones#2644 (2024), the status in the statistics of azd's failures
// (service.arm.413 RequestContentTooLarge, 2026).
func tooLarge() *resource.Failure {
	return resource.Fail(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The request content size exceeds the maximum size of 4 MB.",
		"A request to Resource Manager has 4 MB at most.", "Split the template into modules that are deployed one by one, or send less.")
}

// Read decodes the request's body. Members that are not known are passed over, as Resource
// Manager does.
// The code is seen in many logs; behind the colon there is the text of Newtonsoft.Json, which
// is another one here.
func (c *Call) Read(into any) *resource.Failure {
	data, failed := c.Content()
	if failed != nil {
		return failed
	}
	var err error
	if len(strings.TrimSpace(string(data))) == 0 {
		err = errors.New("the body is empty")
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return BadRequest("InvalidRequestContent", fmt.Sprintf("The request content was invalid and could not be deserialized: '%s'.", at(err, data)), "The body of the request is not the JSON that the operation takes.")
	}
	return nil
}

// PropertiesOf decodes the member properties of the request's body.
func PropertiesOf[T any](c *Call) (T, *resource.Failure) {
	var asked struct {
		Properties T `json:"properties"`
	}
	failed := c.Read(&asked)
	return asked.Properties, failed
}

// Named is the answer to a request that checks whether a resource can have a name.
type Named struct {
	Available bool   `json:"nameAvailable"`
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
}

// CheckName reads which name and type a request asks about, and answers what is against the name:
// an empty reason is nothing.
func (c *Call) CheckName(against func(name string) (reason, message string)) (name, kind string, found Named, failed *resource.Failure) {
	var asked struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	if failed := c.Read(&asked); failed != nil {
		return "", "", Named{}, failed
	}
	reason, message := against(asked.Name)
	return asked.Name, asked.Type, Named{reason == "", reason, message}, nil
}

// at says where in the body an error is.
func at(err error, data []byte) string {
	offset := int64(-1)
	text := err.Error()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset, text = kind.Offset, fmt.Sprintf("Error converting value %s to type '%s'. Path '%s'", kind.Value, kind.Type, kind.Field)
	}
	if offset < 0 || offset > int64(len(data)) {
		return text
	}
	before := string(data[:offset])
	return fmt.Sprintf("%s, line %d, position %d", text, strings.Count(before, "\n")+1, len(before)-strings.LastIndexByte(before, '\n')-1)
}

// Unreadable is the operation of requests whose body is too long or breaks off. One whose length is
// not said before is taken for too long: nothing of it is left to be looked at.
func Unreadable() Operation {
	return Operation{Verb: "do something with a body that cannot be read", Serve: func(c *Call) (Reply, *resource.Failure) {
		n := c.Request.ContentLength
		if n >= 0 && n <= MaxBody {
			return Reply{}, BadRequest("InvalidRequestContent", "The request content was invalid and could not be deserialized: 'the body breaks off'.", "The body of the request was not sent whole.")
		}
		refused := tooLarge()
		if n < 0 {
			refused.Meaning += fmt.Sprintf(" wiemu takes %d MB of one without Content-Length, unless it is a deployment.", MaxBodyWithoutLength>>20)
			refused.Remedy = "Send Content-Length. " + refused.Remedy
		}
		return Reply{}, refused
	}}
}

// Shown is a resource without location and tags as clients see it, in the order of the
// providers' members.
type Shown[P any] struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties P      `json:"properties,omitempty"`
}

// List is a list of values with the link to the next page.
type List[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// pageSize is how many values a page has that asks for no number. That of real lists differs
// by provider and is not documented.
const pageSize = 1000

// PageOf answers with the part of a list that the request asks for.
func PageOf[T any](c *Call, all []T) (Reply, *resource.Failure) {
	page, failed := Page(c, all)
	return Reply{Body: page}, failed
}

// Page returns the part of a list that the request asks for, by $top and by the $skiptoken of
// a link that it was given before.
func Page[T any](c *Call, all []T) (List[T], *resource.Failure) {
	size, from := pageSize, 0
	if text := c.Query("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return List[T]{}, BadRequest("InvalidQueryParameter", fmt.Sprintf("The value '%s' of the query parameter '$top' is invalid.", text), "$top is a number of values.") // text inferred
		}
		size = min(n, pageSize)
	}
	if token := c.Query("$skiptoken"); token != "" {
		data, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			from, err = strconv.Atoi(string(data))
		}
		if err != nil || from < 0 {
			return List[T]{}, BadRequest("InvalidSkipToken", fmt.Sprintf("The skip token '%s' is invalid.", token), "$skiptoken is part of the link to the next page, and not made by clients.") // text inferred
		}
	}
	from = min(from, len(all))
	page := List[T]{Value: all[from:min(from+size, len(all))]}
	if page.Value == nil {
		page.Value = []T{}
	}
	if next := from + size; next < len(all) {
		q := c.Request.URL.Query()
		q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(next))))
		link := url.URL{Scheme: "https", Host: c.Host, Path: c.Path(), RawQuery: q.Encode()}
		page.NextLink = link.String()
	}
	return page, nil
}

package keyvault

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// maxResults is the most, and the default, that a page has.
const maxResults = 25

type page struct {
	Value    []any   `json:"value"`
	NextLink *string `json:"nextLink"` // null on the last page
}

// page cuts a page out of the sorted keys.
func (c *call) page(keys []string, describe func(string) any) (int, any, *resource.Failure) {
	query := c.Request.URL.Query()
	size := maxResults
	if wanted := query.Get("maxresults"); wanted != "" {
		n, err := strconv.Atoi(wanted)
		if err != nil || n < 1 || n > maxResults {
			return 0, nil, badParameter("The value of the 'maxresults' parameter must be between 1 and %d, it is %q.", maxResults, wanted)
		}
		size = n
	}
	start := 0
	if token := query.Get("$skiptoken"); token != "" {
		after, ok := readSkipToken(token)
		if !ok {
			return 0, nil, badParameter("The '$skiptoken' parameter is not one that this vault gave out.")
		}
		// What was deleted since is skipped, what was added is found.
		i, exact := slices.BinarySearch(keys, after)
		start = i
		if exact {
			start++
		}
	}
	end := min(start+size, len(keys))
	result := page{Value: []any{}}
	for _, key := range keys[start:end] {
		result.Value = append(result.Value, describe(key))
	}
	if end < len(keys) {
		result.NextLink = new(c.nextLink(query, keys[end-1]))
	}
	return http.StatusOK, result, nil
}

// nextLink is the address of the page after the key. The port is written out.
// Seen: azure-sdk-for-js recordings.
func (c *call) nextLink(query url.Values, after string) string {
	host := strings.ToLower(c.Request.Host)
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "443")
	}
	link := "https://" + host + strings.TrimSuffix(c.Request.URL.Path, "/") + "?api-version=" + url.QueryEscape(query.Get("api-version"))
	if wanted := query.Get("maxresults"); wanted != "" {
		link += "&maxresults=" + url.QueryEscape(wanted)
	}
	return link + "&$skiptoken=" + skipToken(after)
}

type marker struct {
	NextMarker string `json:"NextMarker"`
}

func skipToken(after string) string {
	data, _ := json.Marshal(marker{after}) // a string always marshals
	return base64.RawURLEncoding.EncodeToString(data)
}

func readSkipToken(token string) (after string, ok bool) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	var m marker
	if err != nil || json.Unmarshal(data, &m) != nil || m.NextMarker == "" {
		return "", false
	}
	return m.NextMarker, true
}

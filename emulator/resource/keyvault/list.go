package keyvault

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxResults is the most, and the default, that a page has.
const maxResults = 25

// page is one answer of a list.
type page struct {
	Value    []bundle `json:"value"`
	NextLink *string  `json:"nextLink"` // null on the last page
}

// list describes the vault's secrets in the order of their names.
func (c *call) list() (int, any, *failure) {
	v := c.vault
	v.mu.RLock()
	defer v.mu.RUnlock()
	return c.page(slices.Sorted(maps.Keys(v.secrets)), func(name string) bundle { return c.item(v.secrets[name]) })
}

// listDeleted describes the bin.
func (c *call) listDeleted() (int, any, *failure) {
	v := c.vault
	v.mu.RLock()
	defer v.mu.RUnlock()
	var names []string
	for name := range v.deleted {
		if _, ok := v.binned(name, c.now); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return c.page(names, func(name string) bundle { return c.binnedItem(v.deleted[name], false) })
}

// versions describes a secret's versions in the order of their ids. A secret
// that does not exist has none, which is no error (azure-sdk-for-js, test
// "can list secret versions (non existing)").
func (c *call) versions() (int, any, *failure) {
	v := c.vault
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, _, ok := v.find(c.name, "")
	if !ok {
		return c.page(nil, nil)
	}
	byID := map[string]*version{}
	for _, n := range s.versions {
		byID[n.id] = n
	}
	return c.page(slices.Sorted(maps.Keys(byID)), func(id string) bundle { return c.bundle(s, byID[id], false) })
}

// page cuts a page out of the sorted keys.
func (c *call) page(keys []string, describe func(string) bundle) (int, any, *failure) {
	query := c.r.URL.Query()
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
	result := page{Value: []bundle{}}
	for _, key := range keys[start:end] {
		result.Value = append(result.Value, describe(key))
	}
	if end < len(keys) {
		next := c.nextLink(query, keys[end-1])
		result.NextLink = &next
	}
	return http.StatusOK, result, nil
}

// nextLink is the address of the page after the key. The port is written out.
// Seen: azure-sdk-for-js recordings.
func (c *call) nextLink(query url.Values, after string) string {
	host := strings.ToLower(c.r.Host)
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "443")
	}
	link := "https://" + host + strings.TrimSuffix(c.r.URL.Path, "/") + "?api-version=" + url.QueryEscape(query.Get("api-version"))
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

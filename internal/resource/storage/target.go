package storage

import (
	"net/url"
	"strings"
)

// parse takes the target of a request apart: path and query as they were sent, since names
// differ in case, doubled slashes and what is percent-encoded.
func parse(account string, s Service, requestURI string) (Target, url.Values) {
	path, query := split(requestURI)
	values, _ := url.ParseQuery(query) // what can be read of it
	t := Target{Account: account, Service: s, Snapshot: values.Get("snapshot")}
	first, rest, nested := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	t.Container, t.Name = unescape(first), unescape(rest)
	switch s {
	case Blob:
		// A blob of the root container has no container in its path (REST reference, "Working
		// with the root container").
		if restype := values.Get("restype"); !nested && t.Container != "" && restype != "container" && restype != "account" {
			t.Container, t.Name = rootContainer, t.Container
		}
		if values.Get("restype") == "service" {
			t.Container, t.Name = "", ""
		}
	case Table:
		t.Container, t.Name = tableOf(t.Container), ""
		if name := t.Container; name == "Tables" || name == "$batch" {
			t.Container = ""
			if name == "$batch" {
				values.Set("$batch", "")
			}
		}
	}
	return t, values
}

const rootContainer = "$root"

// split returns the path and the query of a request target, which may be a whole URL (RFC
// 9112 §3.2.2).
func split(requestURI string) (path, query string) {
	if scheme, rest, ok := strings.Cut(requestURI, "://"); ok && !strings.Contains(scheme, "/") {
		_, after, _ := strings.Cut(rest, "/")
		requestURI = "/" + after
	}
	path, query, _ = strings.Cut(requestURI, "?")
	return path, query
}

// tableOf is the name of the table in mytable(PartitionKey='…') and the like.
func tableOf(segment string) string {
	name, _, _ := strings.Cut(segment, "(")
	return name
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// path is how the journal writes what a request is about.
func (t Target) path() string { return strings.Trim(t.Container+"/"+t.Name, "/") }

// scope is the resource id on which a role has to be assigned, or on one above it. account
// is the account's. Source: azure-docs, storage/blobs/assign-azure-role-data-access.md.
func (t Target) scope(account string) string {
	if t.Container == "" {
		return account
	}
	switch t.Service {
	case Blob:
		return account + "/blobServices/default/containers/" + t.Container
	case Queue:
		return account + "/queueServices/default/queues/" + t.Container
	case Table:
		return account + "/tableServices/default/tables/" + t.Container
	}
	return account
}

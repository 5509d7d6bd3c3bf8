package queues

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// maxResults is how many queues a page has at most. Documented: List Queues.
const maxResults = 5000

type page struct {
	XMLName    xml.Name `xml:"EnumerationResults"`
	Endpoint   string   `xml:"ServiceEndpoint,attr"`
	Prefix     string   `xml:"Prefix"`
	Marker     string   `xml:"Marker,omitempty"`
	MaxResults string   `xml:"MaxResults,omitempty"`
	Queues     struct {
		Queues []listed `xml:"Queue"`
	} `xml:"Queues"`
	Next string `xml:"NextMarker"`
}

type listed struct {
	Name     string      `xml:"Name"`
	Metadata *rest.Pairs `xml:"Metadata"`
}

func (c *call) list() (answer, *storage.Error) {
	p := page{Endpoint: "https://" + c.target.Account + ".queue." + c.domain + "/", Prefix: c.query.Get("prefix"), Marker: c.query.Get("marker"), MaxResults: c.query.Get("maxresults")}
	most := maxResults
	if p.MaxResults != "" {
		n, err := strconv.Atoi(p.MaxResults)
		switch {
		case err != nil:
			return answer{}, rest.BadQuery()
		case n < 1:
			return answer{}, rest.OutOfRange()
		}
		most = min(n, most)
	}
	start, err := base64.RawURLEncoding.DecodeString(p.Marker)
	if err != nil {
		return answer{}, rest.Bad("InvalidMarker", "The specified marker is invalid.")
	}
	for _, name := range slices.Sorted(maps.Keys(c.account.queues)) {
		if !strings.HasPrefix(name, p.Prefix) || name < string(start) {
			continue
		}
		if len(p.Queues.Queues) == most {
			p.Next = base64.RawURLEncoding.EncodeToString([]byte(name))
			break
		}
		item := listed{Name: name}
		if strings.EqualFold(c.query.Get("include"), "metadata") {
			item.Metadata = (*rest.Pairs)(&c.account.queues[name].metadata)
		}
		p.Queues.Queues = append(p.Queues.Queues, item)
	}
	return c.marshal(http.StatusOK, p)
}

package queues

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

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
	most, failed := rest.PageSize(c.query)
	if failed != nil {
		return answer{}, failed
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

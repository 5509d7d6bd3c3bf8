package blobs

import (
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

var accountOperations = map[string]operation{
	"GET list":       (*call).listContainers,
	"GET properties": func(c *call) (answer, *storage.Error) { return c.xml(c.account.properties.Document(storage.Blob)) },
	"PUT properties": (*call).setServiceProperties,
	"GET stats":      (*call).stats,
	"GET blobs":      func(*call) (answer, *storage.Error) { return answer{}, notStored("search by tags") },
}

// information answers Get Account Information.
func (c *call) information() (answer, *storage.Error) {
	h := c.w.Header()
	h.Set("x-ms-sku-name", "Standard_LRS")
	h.Set("x-ms-account-kind", "StorageV2")
	h.Set("x-ms-is-hns-enabled", "false")
	return c.empty(http.StatusOK)
}

// preflight answers what a browser asks before it sends a request from another origin.
func (c *call) preflight() (answer, *storage.Error) {
	return answer{}, rest.Fail(http.StatusForbidden, "CorsPreflightFailure", "CORS not enabled or no matching rule found for this request.")
}

// stats answers Get Blob Service Stats, which only the secondary endpoint does.
func (c *call) stats() (answer, *storage.Error) {
	host, _, _ := strings.Cut(c.r.Host, ".")
	if !strings.HasSuffix(host, "-secondary") {
		return answer{}, rest.BadQuery()
	}
	return c.xml(`<StorageServiceStats><GeoReplication><Status>live</Status><LastSyncTime>` + c.now.Format(http.TimeFormat) + `</LastSyncTime></GeoReplication></StorageServiceStats>`)
}

func (c *call) setServiceProperties() (answer, *storage.Error) {
	if c.document.failed != nil {
		return answer{}, c.document.failed
	}
	c.account.properties = c.account.properties.With(c.document.properties)
	return c.empty(http.StatusAccepted)
}

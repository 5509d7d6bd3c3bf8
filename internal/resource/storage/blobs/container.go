package blobs

import (
	"cmp"
	"net/http"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

var containerOperations = map[string]operation{
	"PUT ":         (*call).createContainer,
	"GET ":         existing((*call).containerProperties, false),
	"GET metadata": existing((*call).containerProperties, false),
	"PUT metadata": existing((*call).setContainerMetadata, false),
	"GET acl":      existing((*call).acl, false),
	"PUT acl":      existing((*call).setACL, false),
	"PUT lease": func(c *call) (answer, *storage.Error) {
		if c.container == nil {
			return answer{}, noContainer()
		}
		return c.container.lease.act(c, c.container.version, "container")
	},
	"DELETE ":   existing((*call).deleteContainer, true),
	"GET list":  existing((*call).listBlobs, false),
	"GET blobs": func(*call) (answer, *storage.Error) { return answer{}, notStored("search by tags") },
}

// existing is an operation on a container that is there. Only deleting it wants the id of
// its lease.
func existing(op operation, deletes bool) operation {
	return func(c *call) (answer, *storage.Error) {
		if c.container == nil {
			return answer{}, noContainer()
		}
		if c.query.Get("comp") != "list" {
			if failed := c.conditions(&c.container.version); failed != nil {
				return answer{}, failed
			}
		}
		if failed := c.container.lease.check(c, "Container", deletes); failed != nil {
			return answer{}, failed
		}
		return op(c)
	}
}

func (c *call) createContainer() (answer, *storage.Error) {
	m, failed := rest.Metadata(c.r.Header)
	if failed == nil {
		failed = containerName(c.target.Container)
	}
	deleted, isDeleted := c.account.deleted[c.target.Container]
	switch {
	case failed != nil:
		return answer{}, failed
	case c.container != nil:
		return answer{}, rest.Fail(http.StatusConflict, "ContainerAlreadyExists", "The specified container already exists.")
	case isDeleted && c.now.Before(deleted.Add(deletionTime)):
		return answer{}, rest.Fail(http.StatusConflict, "ContainerBeingDeleted", "The specified container is being deleted. Try operation later.")
	case c.r.Header.Get("x-ms-blob-public-access") != "":
		return answer{}, publicAccess()
	}
	k := &container{metadata: m, blobs: map[string]*blob{}}
	if !c.hold(k.size()) {
		return answer{}, full()
	}
	delete(c.account.deleted, c.target.Container)
	c.touch(&k.version, c.now)
	c.account.containers[c.target.Container] = k
	c.stamp(k.version)
	return c.empty(http.StatusCreated)
}

// containerName refuses names that no container has.
func containerName(name string) *storage.Error {
	if name == "$root" || name == "$web" || name == "$logs" {
		return nil
	}
	return rest.CheckName(name)
}

func (c *call) containerProperties() (answer, *storage.Error) {
	h := c.w.Header()
	rest.SetMetadata(h, c.container.metadata)
	c.container.lease.describe(h, c.now)
	h.Set("x-ms-has-immutability-policy", "false")
	h.Set("x-ms-has-legal-hold", "false")
	h.Set("x-ms-immutable-storage-with-versioning-enabled", "false")
	h.Set("x-ms-default-encryption-scope", "$account-encryption-key")
	h.Set("x-ms-deny-encryption-scope-override", "false")
	c.stamp(c.container.version)
	return c.empty(http.StatusOK)
}

func (c *call) setContainerMetadata() (answer, *storage.Error) {
	m, failed := rest.Metadata(c.r.Header)
	if failed != nil {
		return answer{}, failed
	}
	if !c.hold(rest.SizeOf(m) - rest.SizeOf(c.container.metadata)) {
		return answer{}, full()
	}
	c.container.metadata = m
	c.touch(&c.container.version, c.now)
	c.stamp(c.container.version)
	return c.empty(http.StatusOK)
}

func (c *call) acl() (answer, *storage.Error) {
	c.stamp(c.container.version)
	return c.xml(cmp.Or(c.container.acl, "<SignedIdentifiers />"))
}

func (c *call) setACL() (answer, *storage.Error) {
	if c.r.Header.Get("x-ms-blob-public-access") != "" {
		return answer{}, publicAccess()
	}
	if c.document.failed != nil {
		return answer{}, c.document.failed
	}
	if !c.hold(int64(len(c.document.acl) - len(c.container.acl))) {
		return answer{}, full()
	}
	c.container.acl = c.document.acl
	c.touch(&c.container.version, c.now)
	c.stamp(c.container.version)
	return c.empty(http.StatusOK)
}

// publicAccess is what accounts of today answer, which permit none unless somebody changes
// it. Seen: blobfile#139.
func publicAccess() *storage.Error {
	return rest.Fail(http.StatusConflict, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
}

func (c *call) deleteContainer() (answer, *storage.Error) {
	c.bytes -= c.container.size()
	for _, b := range c.container.blobs {
		c.bytes -= b.size()
	}
	delete(c.account.containers, c.target.Container)
	c.account.deleted[c.target.Container] = c.now
	return c.empty(http.StatusAccepted)
}

package keyvault

import (
	"strings"
	"time"
)

// bundle is a secret as it is sent. The fields are in the order of Key Vault's
// answers; lists and updates have no value. Seen: azure-sdk-for-js recordings.
type bundle struct {
	RecoveryID string `json:"recoveryId,omitempty"` // the first three: of deleted secrets only
	Deleted    int64  `json:"deletedDate,omitempty"`
	Purge      int64  `json:"scheduledPurgeDate,omitempty"`

	Value       *string           `json:"value,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	ID          string            `json:"id"`
	Attributes  bundleAttributes  `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
}

type bundleAttributes struct {
	Enabled         bool   `json:"enabled"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         int64  `json:"created"`
	Updated         int64  `json:"updated"`
	RecoveryLevel   string `json:"recoveryLevel"`
	RecoverableDays int    `json:"recoverableDays"`
}

// bundle describes a version, with its value if withValue.
func (c *call) bundle(s *secret, n *version, withValue bool) bundle {
	b := describe(n)
	b.ID = c.base() + "/secrets/" + s.name + "/" + n.id
	if withValue {
		b.Value = &n.value
	}
	return b
}

// item describes a secret in a list: by its latest version, without naming it.
func (c *call) item(s *secret) bundle {
	b := describe(s.latest())
	b.ID = c.base() + "/secrets/" + s.name
	return b
}

// binnedItem describes a deleted secret; its id names a version only outside
// lists.
func (c *call) binnedItem(s *secret, withVersion bool) bundle {
	b := c.item(s)
	if withVersion {
		b.ID += "/" + s.latest().id
	}
	b.RecoveryID = c.base() + "/deletedsecrets/" + s.name
	b.Deleted, b.Purge = s.deleted.Unix(), s.purge().Unix()
	return b
}

func describe(n *version) bundle {
	return bundle{
		ContentType: n.contentType,
		Tags:        n.tags,
		Attributes: bundleAttributes{
			Enabled: n.enabled, NotBefore: n.notBefore, Expires: n.expires,
			Created: seconds(n.created), Updated: seconds(n.updated),
			RecoveryLevel: "Recoverable+Purgeable", RecoverableDays: retention,
		},
	}
}

func seconds(t time.Time) int64 { return t.Unix() }

// base is the vault's address as the client wrote it: on another port than 443
// it goes into ids, so that a client can follow them.
func (c *call) base() string {
	return "https://" + strings.TrimSuffix(strings.ToLower(c.r.Host), ":443")
}

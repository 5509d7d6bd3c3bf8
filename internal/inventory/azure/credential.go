package azure

import (
	"slices"
	"strings"
	"time"
)

// secret is what az tells of a client secret or a certificate.
type secret struct {
	KeyID       string    `json:"keyId"`
	DisplayName string    `json:"displayName"`
	End         time.Time `json:"endDateTime"`
}

// policy is an access policy of a vault.
type policy struct {
	ObjectID    string `json:"objectId"`
	Permissions struct {
		Secrets      []string `json:"secrets"`
		Keys         []string `json:"keys"`
		Certificates []string `json:"certificates"`
	} `json:"permissions"`
}

// all are permissions in lower case, with every one of them for all.
// Source: azure-rest-api-specs, keyvault.json of Microsoft.KeyVault, Permissions.
func all(given []string, every ...string) (permissions []string) {
	for _, one := range given {
		if strings.EqualFold(one, "all") {
			return slices.Clone(every)
		}
		permissions = append(permissions, one)
	}
	return permissions
}

package entra

import (
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/gateway/httppath"
)

// userRealm says how the users of a domain sign in, in Entra ID's order.
// Source: the realm discovery reply in a log of Windows' sign-in (AadCloudAPPlugin
// 1015) for a managed domain; the reply for an unknown domain is inferred.
type userRealm struct {
	Version       string `json:"ver"`
	AccountType   string `json:"account_type"`
	DomainName    string `json:"domain_name,omitempty"`
	CloudInstance string `json:"cloud_instance_name"`
	CloudAudience string `json:"cloud_audience_urn"`
}

// serveUserRealm answers GET /common/userrealm/{user}, which clients ask before
// they send a password. Users of a tenant's domains are managed by Entra ID;
// those of other domains are unknown to it.
func (s *Service) serveUserRealm(w http.ResponseWriter, r *http.Request) {
	user := httppath.Segment(r, 2)
	if user == "" {
		user = r.URL.Query().Get("user")
	}
	realm := userRealm{Version: "1.0", AccountType: "Unknown", CloudInstance: s.cloud.Instance, CloudAudience: "urn:federation:MicrosoftOnline"}
	if _, domain, found := strings.Cut(user, "@"); found && isDomain(domain) {
		if _, ok := s.directory.Tenant(domain); ok {
			realm.AccountType, realm.DomainName = "Managed", domain
		}
	}
	s.replyMetadata(w, r, realm)
}

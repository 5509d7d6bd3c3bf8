package keyvault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
)

// recover has a vault be what it was before it was deleted, with its content. What the body asks
// besides is not looked at. Role assignments do not come back.
// Source: learn.microsoft.com, key-vault/general/key-vault-recovery.
func (s *service) recover(i *rest.Item, old rest.Item, p rest.Properties) *resource.Failure {
	clear(p)
	for name, value := range old.ReadProperties() {
		p[name] = value
	}
	i.Location, i.Tags, i.Made, i.MadeBy = old.Location, old.Tags, old.Made, old.MadeBy
	return nil
}

// retention completes soft delete, which cannot be switched off, and its days, which cannot change.
// Source: learn.microsoft.com, key-vault/general/soft-delete-overview; the texts are inferred.
func retention(p rest.Properties, was *rest.Item) *resource.Failure {
	days := 90
	if _, err := p.Read("softDeleteRetentionInDays", &days); err != nil || days < 7 || days > 90 {
		return bad("The parameter properties.softDeleteRetentionInDays is invalid. It must be between 7 and 90.", "A deleted vault is kept for 7 to 90 days.")
	}
	protected := false
	if _, err := p.Read("enablePurgeProtection", &protected); err != nil {
		return bad("The parameter properties.enablePurgeProtection is not a boolean.", err.Error())
	}
	if was != nil {
		before := was.ReadProperties()
		old, locked := days, false
		_, _ = before.Read("softDeleteRetentionInDays", &old) // which this has written
		_, _ = before.Read("enablePurgeProtection", &locked)
		switch {
		case old != days:
			return bad("The property \"softDeleteRetentionInDays\" has been set already and it can't be modified.", "A vault keeps its retention.")
		case locked && !protected:
			return bad("The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.", "Purge protection stays on.")
		}
	}
	p.Set("softDeleteRetentionInDays", days)
	p.Set("enableSoftDelete", true)
	if !protected {
		p.Drop("enablePurgeProtection") // which Azure leaves out
	}
	return nil
}

// binned is the deleted vault of a name, of any tenant.
func (s *service) binned(name string) (rest.Item, bool) {
	s.forgetExpired()
	all := s.Items(s.kind.Type, func(i *rest.Item) bool { return !i.Deleted.IsZero() && strings.EqualFold(i.Name, name) })
	if len(all) == 0 {
		return rest.Item{}, false
	}
	return all[0], true
}

// purges is when a deleted vault is gone for good.
func purges(i rest.Item) time.Time {
	days := 90
	_, _ = i.ReadProperties().Read("softDeleteRetentionInDays", &days) // which make has written
	return i.Deleted.AddDate(0, 0, days)
}

// forgetExpired purges the vaults whose time in the bin is over.
func (s *service) forgetExpired() {
	s.expiring.Lock() // who finds a vault forgotten finds it purged, too: a new one of its name is empty
	defer s.expiring.Unlock()
	now := s.Kit.Clock.Now()
	for _, i := range s.Items(s.kind.Type, func(i *rest.Item) bool { return !i.Deleted.IsZero() && !now.Before(purges(*i)) }) {
		if gone, err := s.ForgetDeleted(i); gone && err == nil { // else the next time
			s.served().Purge(i.Name)
		}
	}
}

// deletedVault in the order of the provider's members.
// Source: azure-rest-api-specs, keyvault.json, DeletedVault.
type deletedVault = rest.Shown[struct {
	VaultID            string            `json:"vaultId"`
	Location           string            `json:"location"`
	Tags               map[string]string `json:"tags"`
	DeletionDate       string            `json:"deletionDate"`
	ScheduledPurgeDate string            `json:"scheduledPurgeDate"`
	PurgeProtection    json.RawMessage   `json:"purgeProtectionEnabled,omitempty"`
}]

func shownDeleted(i rest.Item) deletedVault {
	made := deletedVault{Name: i.Name, Type: namespace + "/deletedVaults"}
	made.ID = fmt.Sprintf("/subscriptions/%s/providers/%s/locations/%s/deletedVaults/%s", strings.Split(i.ID, "/")[2], namespace, i.Location, i.Name)
	made.Properties.VaultID, made.Properties.Location, made.Properties.Tags = i.ID, i.Location, i.Tags
	made.Properties.DeletionDate = i.Deleted.UTC().Format("2006-01-02T15:04:05Z")
	made.Properties.ScheduledPurgeDate = purges(i).UTC().Format("2006-01-02T15:04:05Z")
	made.Properties.PurgeProtection = i.ReadProperties()["enablePurgeProtection"]
	return made
}

func (s *service) listDeleted(c *rest.Call) (rest.Reply, *resource.Failure) {
	s.forgetExpired()
	at := "/subscriptions/" + c.Vars["subscription"] + "/"
	all := []deletedVault{}
	for _, i := range s.Items(s.kind.Type, func(i *rest.Item) bool {
		return !i.Deleted.IsZero() && i.Tenant == c.Caller.Tenant && strings.HasPrefix(strings.ToLower(i.ID), at)
	}) {
		all = append(all, shownDeleted(i))
	}
	return rest.PageOf(c, all)
}

// inBin is the deleted vault that the path names.
// Source: DeletedVaultNotFound is what go-azure-sdk's and azure-cli's callers meet as 404; the text is inferred.
func (s *service) inBin(c *rest.Call) (rest.Item, *resource.Failure) {
	i, ok := s.binned(c.Vars["vault"])
	location := strings.ReplaceAll(c.Vars["location"], " ", "")
	if !ok || i.Tenant != c.Caller.Tenant || i.Location != location || !strings.HasPrefix(strings.ToLower(i.ID), "/subscriptions/"+c.Vars["subscription"]+"/") {
		return rest.Item{}, resource.Fail(http.StatusNotFound, "DeletedVaultNotFound", fmt.Sprintf("The specified deleted vault '%s' does not exist.", c.Name("vault")), "There is no deleted vault of this name in the region.", "Mind the subscription and the region.")
	}
	return i, nil
}

func (s *service) getDeleted(_ *rest.Call, i rest.Item) (rest.Reply, *resource.Failure) {
	return rest.Reply{Body: shownDeleted(i)}, nil
}

// purge takes a deleted vault away for good.
// Source: MethodNotAllowed in many logs, such as those of terraform-provider-azurerm (405).
func (s *service) purge(c *rest.Call) (rest.Reply, *resource.Failure) {
	defer s.Making()()
	i, failed := s.inBin(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	protected := false
	_, _ = i.ReadProperties().Read("enablePurgeProtection", &protected) // which make has written
	if protected {
		return rest.Reply{}, resource.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.", "The vault has purge protection.", "Wait for its retention, recover it, or take another name.")
	}
	if err := s.Forget(i); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	s.served().Purge(i.Name)
	return c.Later(s.kind, i, http.StatusAccepted, "Drop"), nil
}

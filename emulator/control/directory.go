package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
)

// DirectoryChange asks for one change of what the directory says about an
// identity, as its owners would make it. It has exactly one of the fields from
// FederatedCredential to Revoked.
type DirectoryChange struct {
	Tenant   string `json:"tenant,omitempty"` // id or domain; "": the first one that knows the identity
	Identity string `json:"identity"`         // client id, or the name of an application or managed identity

	FederatedCredential       *directory.FederatedCredential `json:"federatedCredential,omitempty"`       // changes the one with its name, or the only one; what is empty stays
	AddFederatedCredential    *directory.FederatedCredential `json:"addFederatedCredential,omitempty"`    // without an audience: Entra ID's
	RemoveFederatedCredential string                         `json:"removeFederatedCredential,omitempty"` // by its name
	Disabled                  *bool                          `json:"disabled,omitempty"`                  // whether it may not sign in
	Deleted                   bool                           `json:"deleted,omitempty"`                   // whether it is gone
	Revoked                   bool                           `json:"revoked,omitempty"`                   // whether its sessions are revoked: the access tokens that were given out until now

	Everywhere bool `json:"everywhere,omitempty"` // with Revoked: whether every resource refuses them, not only those that evaluate access continuously
}

// Changed is what a directory change was made to.
type Changed struct {
	Tenant   string `json:"tenant"`
	ClientID string `json:"clientId"`
	Summary  string `json:"summary"` // of the change, as the journal has it
}

// ChangeDirectory changes what the directory says about an identity.
func (c *Client) ChangeDirectory(ctx context.Context, change DirectoryChange) (Changed, error) {
	return ask[Changed](ctx, c, http.MethodPost, "/v1/directory", change)
}

// Faults are those of a lab that are injected.
type Faults struct {
	Seed   uint64         `json:"seed"` // decides about faults with a probability that name none
	Active []fault.Active `json:"active"`
}

// Injected is a fault that was injected.
type Injected struct {
	ID   string `json:"id"`
	Seed uint64 `json:"seed,omitempty"` // of a fault with a probability: the same seed hits the same calls
}

// Faults asks what goes wrong on purpose.
func (c *Client) Faults(ctx context.Context) (Faults, error) {
	return ask[Faults](ctx, c, http.MethodGet, "/v1/faults", nil)
}

// Inject lets something go wrong.
func (c *Client) Inject(ctx context.Context, f fault.Fault) (Injected, error) {
	return ask[Injected](ctx, c, http.MethodPost, "/v1/faults", f)
}

// Clear ends a fault, by its id.
func (c *Client) Clear(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, "/v1/faults/"+url.PathEscape(id), nil, &Injected{})
}

// ClearAll ends all faults.
func (c *Client) ClearAll(ctx context.Context) error {
	return c.Do(ctx, http.MethodDelete, "/v1/faults", nil, &Faults{})
}

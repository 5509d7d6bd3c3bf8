package keyvault

import (
	"net/http"
	"strings"
)

// delete moves a secret with all its versions into the bin.
func (c *call) delete() (int, any, *failure) {
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	s, _, ok := v.find(c.name, "")
	c.check("secret", "a secret of the vault", c.name, ok)
	if !ok {
		return 0, nil, notFound(c.name, v.nearest(c.name))
	}
	v.bin(c.name, c.now)
	return http.StatusOK, c.binnedItem(s, true), nil
}

// getDeleted describes a secret in the bin.
// Seen: a disabled one is refused here too (azure-sdk-for-js recordings, 2021).
func (c *call) getDeleted() (int, any, *failure) {
	v := c.vault
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, ok := v.binned(c.name, c.now)
	c.check("deleted secret", "a secret in the bin", c.name, ok)
	switch {
	case !ok:
		return 0, nil, deletedNotFound(c.name)
	case !s.latest().enabled:
		return 0, nil, disabled()
	default:
		return http.StatusOK, c.binnedItem(s, true), nil
	}
}

// recover takes a secret out of the bin.
func (c *call) recover() (int, any, *failure) {
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.binned(c.name, c.now)
	c.check("deleted secret", "a secret in the bin", c.name, ok)
	if !ok {
		return 0, nil, deletedNotFound(c.name)
	}
	key := strings.ToLower(c.name)
	delete(v.deleted, key)
	back := &secret{name: s.name, versions: s.versions}
	v.secrets[key] = back
	return http.StatusOK, c.bundle(back, back.latest(), false), nil
}

// purge empties the bin of a secret, for good.
func (c *call) purge() (int, any, *failure) {
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.binned(c.name, c.now)
	c.check("deleted secret", "a secret in the bin", c.name, ok)
	if !ok {
		return 0, nil, deletedNotFound(c.name)
	}
	delete(v.deleted, strings.ToLower(c.name))
	return http.StatusNoContent, nil, nil
}

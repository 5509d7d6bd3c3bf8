package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/keyring"
)

func (st *stage) rotate(ctx context.Context, k *KeyStep, result *Result) error {
	return st.onKey(k, result, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Rotate(ctx) })
}

func (st *stage) publish(ctx context.Context, k *KeyStep, result *Result) error {
	return st.onKey(k, result, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Publish(ctx) })
}

func (st *stage) removeKey(k *RemoveKeyStep, result *Result) error {
	return st.onKey(&k.KeyStep, result, func(ring *keyring.Ring) (keyring.Key, error) {
		key, err := ring.Find(k.Key)
		if err != nil {
			return key, err
		}
		return key, ring.Remove(key.ID)
	})
}

func (st *stage) onKey(k *KeyStep, result *Result, do func(*keyring.Ring) (keyring.Key, error)) error {
	ring, err := st.lab.Emulator().KeyRing(k.Issuer)
	if err != nil {
		return err
	}
	key, err := do(ring)
	result.Kid = key.ID
	return err
}

// copyToken keeps the token file of a workload as it is now.
func (st *stage) copyToken(name string, c *CopyTokenStep, result *Result) error {
	file := st.workloads[c.Workload].Environment.TokenFile
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	target := filepath.Join(st.dir, "copies", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, content, 0o600)); err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	st.copies[name] = target
	result.Token, err = readToken(target)
	return err
}

// moveWorkload lets another issuer mint the tokens of a workload.
func (st *stage) moveWorkload(ctx context.Context, m *MoveWorkloadStep) error {
	w := st.workloads[m.Workload]
	if err := st.lab.Move(w, m.Issuer); err != nil || m.AtNextRefresh {
		return err
	}
	return w.Refresh(ctx)
}

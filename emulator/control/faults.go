package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/fault"
)

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

func (s *Server) handleFaults() {
	s.Handle(http.MethodGet, "/v1/faults", func(*http.Request) (any, error) {
		return Faults{Seed: s.lab.Faults.Seed(), Active: s.lab.Faults.Active()}, nil
	})
	s.Handle(http.MethodPost, "/v1/faults", s.inject)
	s.Handle(http.MethodDelete, "/v1/faults", func(*http.Request) (any, error) {
		s.lab.Faults.ClearAll()
		return Faults{Seed: s.lab.Faults.Seed(), Active: s.lab.Faults.Active()}, nil
	})
	s.Handle(http.MethodDelete, "/v1/faults/{id}", func(r *http.Request) (any, error) {
		id, err := url.PathUnescape(mux.Vars(r)["id"]) // gorilla/mux: as it is in the encoded path
		if err != nil {
			return nil, err
		}
		if err := s.lab.Faults.Clear(id); err != nil {
			return nil, &StatusError{Status: http.StatusNotFound, Err: err}
		}
		return Injected{ID: id}, nil
	})
}

func (s *Server) inject(r *http.Request) (any, error) {
	var f fault.Fault
	if err := Decode(r, &f); err != nil {
		return nil, err
	}
	id, err := s.lab.Faults.Inject(f)
	injected := Injected{ID: id, Seed: f.When.Seed}
	if f.When.Probability > 0 && injected.Seed == 0 {
		injected.Seed = s.lab.Faults.Seed()
	}
	return injected, err
}

// Faults asks what goes wrong on purpose.
func (c *Client) Faults(ctx context.Context) (Faults, error) {
	var faults Faults
	return faults, c.Do(ctx, http.MethodGet, "/v1/faults", nil, &faults)
}

// Inject lets something go wrong.
func (c *Client) Inject(ctx context.Context, f fault.Fault) (Injected, error) {
	var injected Injected
	return injected, c.Do(ctx, http.MethodPost, "/v1/faults", f, &injected)
}

// Clear ends a fault, by its id.
func (c *Client) Clear(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, "/v1/faults/"+url.PathEscape(id), nil, &Injected{})
}

// ClearAll ends all faults.
func (c *Client) ClearAll(ctx context.Context) error {
	return c.Do(ctx, http.MethodDelete, "/v1/faults", nil, &Faults{})
}

package controlapi

import (
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
)

func (s *Server) handleFaults() {
	list := func() control.Faults {
		return control.Faults{Seed: s.lab.Faults().Seed(), Active: s.lab.Faults().Active()}
	}
	s.Handle(http.MethodGet, "/v1/faults", func(*http.Request) (any, error) { return list(), nil })
	s.Handle(http.MethodPost, "/v1/faults", withBody(s.inject))
	s.Handle(http.MethodDelete, "/v1/faults", func(*http.Request) (any, error) {
		s.lab.Faults().ClearAll()
		return list(), nil
	})
	s.Handle(http.MethodDelete, "/v1/faults/{id}", func(r *http.Request) (any, error) {
		id, err := url.PathUnescape(mux.Vars(r)["id"]) // gorilla/mux: as it is in the encoded path
		if err != nil {
			return nil, err
		}
		if err := s.lab.Faults().Clear(id); err != nil {
			return nil, &control.StatusError{Status: http.StatusNotFound, Err: err}
		}
		return control.Injected{ID: id}, nil
	})
}

func (s *Server) inject(_ *http.Request, f fault.Fault) (any, error) {
	id, err := s.lab.Faults().Inject(f)
	injected := control.Injected{ID: id, Seed: f.When.Seed}
	if f.When.Probability > 0 && injected.Seed == 0 {
		injected.Seed = s.lab.Faults().Seed()
	}
	return injected, err
}

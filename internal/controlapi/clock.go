package controlapi

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

func (s *Server) handleClock() {
	for path, action := range map[string]Action{
		"advance": changesClock(s, func(ctx context.Context, req advanceRequest) error {
			by, err := parseDuration(req.By)
			if err != nil {
				return err
			}
			return s.lab.Time().Advance(ctx, by)
		}),
		"set": changesClock(s, func(ctx context.Context, req setRequest) error {
			to, err := time.Parse(time.RFC3339, req.To)
			if err != nil {
				return fmt.Errorf("expected a time such as 2026-01-05T09:00:00Z, found %q", req.To)
			}
			return s.lab.Time().Set(ctx, to)
		}),
		"settle": changesClock(s, func(ctx context.Context, _ struct{}) error { return s.lab.Clock().Advance(ctx, 0) }),
		"freeze": changesClock(s, func(context.Context, struct{}) error { return s.lab.Time().Freeze() }),
		"speed":  changesClock(s, func(_ context.Context, req speedRequest) error { return s.lab.Time().SetSpeed(req.Speed) }),
		"skew": changesClock(s, func(_ context.Context, req SkewRequest) error {
			by, err := parseDuration(req.By)
			if err != nil {
				return err
			}
			return s.lab.Time().Skew(req.Component, by)
		}),
	} {
		s.Handle(http.MethodPost, "/v1/clock/"+path, action)
	}
}

// changesClock returns an action that changes lab time and answers with the status.
func changesClock[T any](s *Server, change func(context.Context, T) error) Action {
	return withBody(func(r *http.Request, body T) (any, error) {
		if err := change(r.Context(), body); err != nil {
			return nil, err
		}
		return s.status(r)
	})
}

type advanceRequest struct {
	By string `json:"by"` // a Go duration, such as 25h
}

type setRequest struct {
	To string `json:"to"` // RFC 3339, such as 2026-01-05T09:00:00Z
}

type speedRequest struct {
	Speed float64 `json:"speed"` // times as fast as the machine's clock
}

// SkewRequest asks to let one part's clock be wrong.
type SkewRequest struct {
	Component string `json:"part"` // entra, resources, workloads or the name of an issuer
	By        string `json:"by"`   // a Go duration, such as 5m or -5m; 0s: right again
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("expected a duration such as 25h or 90s, at most 292 years, found %q", text)
	}
	return d, nil
}

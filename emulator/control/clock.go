package control

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// AdvanceRequest asks to move lab time.
type AdvanceRequest struct {
	By string `json:"by"` // a Go duration, such as 25h
}

// SetRequest asks to move lab time to a moment that is still to come.
type SetRequest struct {
	To string `json:"to"` // RFC 3339, such as 2026-01-05T09:00:00Z
}

// SpeedRequest asks to let lab time run.
type SpeedRequest struct {
	Speed float64 `json:"speed"` // times as fast as the machine's clock
}

// SkewRequest asks to let one part's clock be wrong.
type SkewRequest struct {
	Part string `json:"part"` // entra, resources, workloads or the name of an issuer
	By   string `json:"by"`   // a Go duration, such as 5m or -5m; 0s: right again
}

// Advance moves lab time forward by a Go duration, such as 25h.
func (c *Client) Advance(ctx context.Context, by string) (Status, error) {
	return c.clock(ctx, "advance", AdvanceRequest{By: by})
}

// Set moves lab time forward to a moment in RFC 3339, such as 2026-01-05T09:00:00Z.
func (c *Client) Set(ctx context.Context, to string) (Status, error) {
	return c.clock(ctx, "set", SetRequest{To: to})
}

// Freeze lets lab time stand still.
func (c *Client) Freeze(ctx context.Context) (Status, error) {
	return c.clock(ctx, "freeze", struct{}{})
}

// SetSpeed lets lab time run, so many times as fast as the machine's clock.
func (c *Client) SetSpeed(ctx context.Context, speed float64) (Status, error) {
	return c.clock(ctx, "speed", SpeedRequest{Speed: speed})
}

// Settle waits until the answers under way were given, and until everything that
// is due by now has happened. Lab time stays as it is.
func (c *Client) Settle(ctx context.Context) (Status, error) {
	return c.clock(ctx, "settle", struct{}{})
}

// Skew lets the clock of a part go ahead of lab time by a Go duration, or behind
// it if that is negative; 0s puts it right.
func (c *Client) Skew(ctx context.Context, part, by string) (Status, error) {
	return c.clock(ctx, "skew", SkewRequest{Part: part, By: by})
}

func (c *Client) clock(ctx context.Context, how string, req any) (Status, error) {
	var status Status
	return status, c.Do(ctx, http.MethodPost, "/v1/clock/"+how, req, &status)
}

// handleClock adds the actions that change lab time. Each answers with the status.
func (s *Server) handleClock() {
	for path, change := range map[string]func(*http.Request) error{
		"advance": func(r *http.Request) error {
			return withBody(r, func(req AdvanceRequest) error {
				by, err := parseDuration(req.By)
				if err != nil {
					return err
				}
				return s.lab.Time.Advance(r.Context(), by)
			})
		},
		"set": func(r *http.Request) error {
			return withBody(r, func(req SetRequest) error {
				to, err := time.Parse(time.RFC3339, req.To)
				if err != nil {
					return fmt.Errorf("expected a time such as 2026-01-05T09:00:00Z, found %q", req.To)
				}
				return s.lab.Time.Set(r.Context(), to)
			})
		},
		"settle": func(r *http.Request) error {
			return withBody(r, func(struct{}) error { return s.lab.Time.Clock().Advance(r.Context(), 0) })
		},
		"freeze": func(r *http.Request) error {
			return withBody(r, func(struct{}) error { return s.lab.Time.Freeze() })
		},
		"speed": func(r *http.Request) error {
			return withBody(r, func(req SpeedRequest) error { return s.lab.Time.SetSpeed(req.Speed) })
		},
		"skew": func(r *http.Request) error {
			return withBody(r, func(req SkewRequest) error {
				by, err := parseDuration(req.By)
				if err != nil {
					return err
				}
				return s.lab.Time.Skew(req.Part, by)
			})
		},
	} {
		s.Handle(http.MethodPost, "/v1/clock/"+path, func(r *http.Request) (any, error) {
			if err := change(r); err != nil {
				return nil, err
			}
			return s.status(r)
		})
	}
}

// withBody decodes the request's body and hands it on.
func withBody[T any](r *http.Request, f func(T) error) error {
	var body T
	if err := Decode(r, &body); err != nil {
		return err
	}
	return f(body)
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("expected a duration such as 25h or 90s, at most 292 years, found %q", text)
	}
	return d, nil
}

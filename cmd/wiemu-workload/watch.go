package main

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// A watch does the same again and again in one process, as a service does: what
// its credential has cached at one attempt it still has at the next.
type watch struct {
	every time.Duration // between the beginnings of two attempts
	times int           // 0: until stopped, or until it has lasted as long as it may
	lasts time.Duration // 0: until stopped, or until it was done often enough
	fresh bool          // make a new credential for each attempt
}

// An Attempt is one line of a watch.
type Attempt struct {
	Attempt int       `json:"attempt"` // from 1
	Time    time.Time `json:"time"`    // when it began, on the clock of this program
	Answer
}

// run prints a line for each attempt and returns whether all were successful. It
// ends when ctx does, and then, too, finishes the attempt that is under way.
func (w watch) run(ctx context.Context, c command, out io.Writer) (ok bool, err error) {
	answer := c.answer
	if !w.fresh {
		answer = c.withOneCredential()
	}
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	lines, began := json.NewEncoder(out), time.Now()
	ok = true
	for n := 1; ; n++ {
		attempt := Attempt{Attempt: n, Time: time.Now().UTC()}
		attempt.Answer = answer(context.WithoutCancel(ctx))
		ok = ok && attempt.OK
		if err := lines.Encode(attempt); err != nil {
			return false, err
		}
		if n == w.times {
			return ok, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ok, nil
		}
		if w.lasts > 0 && time.Since(began) >= w.lasts {
			return ok, nil
		}
	}
}

package postgres

import (
	"testing"
	"testing/synctest"
	"time"
)

// A query that waits for a lock holds the clock for a second, and one at which PostgreSQL works
// until it has been answered, but not for ever.
func TestAQueryHoldsTheClockWhilePostgreSQLWorks(t *testing.T) {
	for _, row := range []struct {
		name                  string
		works                 time.Duration // how long PostgreSQL does
		answered              time.Duration // when the answer comes
		heldAtLeast, heldLess time.Duration
	}{
		{"answered soon", 0, 300 * time.Millisecond, 300 * time.Millisecond, 301 * time.Millisecond},
		{"it waits for a lock", 0, time.Hour, time.Second, 1200 * time.Millisecond},
		{"it works for long", 10 * time.Second, 10 * time.Second, 10 * time.Second, 10*time.Second + time.Millisecond},
		{"it works, and then waits", 5 * time.Second, time.Hour, 5 * time.Second, 5200 * time.Millisecond},
		{"it works for ever", 2 * time.Hour, time.Hour, 30 * time.Second, 31 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // its time is that of the bubble
				began := time.Now()
				held := time.Duration(-1)
				b := &busy{
					begin: func() (end func()) { return func() { held = time.Since(began) } },
					works: func() bool { return time.Since(began) < row.works },
				}
				b.asked()
				time.Sleep(row.answered)
				synctest.Wait()
				b.answered()
				if held < row.heldAtLeast || held >= row.heldLess {
					t.Errorf("the clock was held for %v, expected %v or a little more", held, row.heldAtLeast)
				}
			})
		})
	}
}

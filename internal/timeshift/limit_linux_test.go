//go:build amd64 || arm64

package timeshift

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A turn takes as long as its limit says, but for the time in which others had the processors,
// and never longer than ten times the limit.
func TestATurnIsNotOverWhileOthersHaveTheProcessors(t *testing.T) {
	const limit = 2 * time.Second
	type share struct{ had, waited float64 } // of each second of a thread's
	for _, test := range []struct {
		name    string
		threads []share
		want    time.Duration
	}{
		{"it computes", []share{{1, 0}}, limit},
		{"it neither computes nor rests", []share{{0, 0}, {0, 0}}, limit},
		{"others have three quarters", []share{{0.25, 0.75}}, 4 * limit},
		{"one of its threads does not run", []share{{0.25, 0.75}, {0, 0}}, 4 * limit},
		{"it waits for its own threads", []share{{0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}, {0.25, 0.75}}, limit},
		{"others have everything", []share{{0, 1}}, utmost * limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				l := newTurnLimit(limit, func() map[int]processorUse {
					usage := map[int]processorUse{}
					for tid, s := range test.threads {
						seconds := time.Since(began).Seconds() + 100 // it has run before
						usage[tid] = processorUse{time.Duration(s.had * seconds * 1e9), time.Duration(s.waited * seconds * 1e9)}
					}
					return usage
				})
				l.sharing = 2
				for !l.isOver() {
					time.Sleep(time.Millisecond) // of the bubble's clock
				}
				const unseen = 500 * time.Millisecond // of what happens before the first look, and between looks
				if took := time.Since(began); took < test.want-unseen || took > test.want+unseen {
					t.Errorf("it is over after %v, want %v", took, test.want)
				}
			})
		})
	}
}

// Programs that follow one another, each for a moment, are passed over, too.
func TestThreadsThatEndAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, life = 2 * time.Second, 100 * time.Millisecond
		began := time.Now()
		l := newTurnLimit(limit, func() map[int]processorUse {
			age := time.Since(began) % life
			return map[int]processorUse{int(time.Since(began) / life): {age / 4, age - age/4}}
		})
		for !l.isOver() {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took < limit*3/2 {
			t.Errorf("it is over after %v, want much more than %v", took, limit)
		}
	})
}

// What the kernel tells of threads is understood: this one has computed since it was started.
func TestUseOfProcessorsIsRead(t *testing.T) {
	ts := newThreads()
	ts.add(os.Getpid())
	defer ts.forget(os.Getpid())
	usage := ts.usage()[os.Getpid()]
	if usage.had <= 0 || usage.waited < 0 {
		t.Errorf("found %+v, want that it has had a processor", usage)
	}
}

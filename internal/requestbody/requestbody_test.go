package requestbody

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stranger is a client whose body comes as the test says. As a writer it knows
// deadlines, as connections do.
type stranger struct {
	*httptest.ResponseRecorder
	from    *io.PipeReader
	to      *io.PipeWriter
	request *http.Request
}

func newStranger(length int64) *stranger {
	s := &stranger{ResponseRecorder: httptest.NewRecorder()}
	s.from, s.to = io.Pipe()
	s.request = httptest.NewRequest(http.MethodPost, "/", s.from)
	s.request.ContentLength = length
	return s
}

func (s *stranger) SetReadDeadline(at time.Time) error {
	time.AfterFunc(time.Until(at), func() { _ = s.to.CloseWithError(os.ErrDeadlineExceeded) })
	return nil
}

// result is what Read gave.
type result struct {
	body    string
	release func()
	err     error
}

func (s *stranger) read(b *budget, most int64) <-chan result {
	done := make(chan result, 1)
	go func() {
		body, release, err := b.read(s, s.request, most)
		done <- result{string(body), release, err}
	}()
	return done
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name   string
		body   string
		length int64
		want   string // of the error; "": none
	}{
		{"as long as it may be", "1234567890", 10, ""},
		{"of unknown length", "1234567890", -1, ""},
		{"empty, of unknown length", "", -1, ""},
		{"declared too long", "", 11, "longer than 10 bytes"},
		{"too long, of unknown length", "12345678901", -1, "longer than 10 bytes"},
		{"that breaks off", "123", 10, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(test.body)))
			r.ContentLength = test.length
			b := newBudget(100)
			body, release, err := b.read(httptest.NewRecorder(), r, 10)
			switch {
			case test.want == "" && (err != nil || string(body) != test.body):
				t.Errorf("%q, %v", body, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%q, %v; want %s", body, err, test.want)
			case err == nil:
				if b.bytes.TryAcquire(100 - int64(len(test.body)) + 1) {
					t.Error("the body is not counted")
				}
				release()
				release() // harmless
			}
			if !b.bytes.TryAcquire(100) {
				t.Error("something stays counted")
			}
		})
	}
}

// Bodies that stall give way to those that come; bodies that come do not.
func TestStalledBodiesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		stalled := newStranger(60)
		gone := stalled.read(b, 60)
		_, _ = stalled.to.Write([]byte("begun"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(gone) > 0 {
			t.Fatal("a stalled body ends although nobody waits")
		}
		slow := newStranger(-1)
		kept := slow.read(b, 40) // of unknown length: takes all that it may
		_, _ = slow.to.Write([]byte("1234567890"))

		honest := newStranger(50)
		passed := honest.read(b, 60)
		go func() { _, _ = honest.to.Write([]byte(strings.Repeat("h", 50))) }()
		if got := <-passed; got.err != nil || len(got.body) != 50 {
			t.Errorf("an honest body: %+v", got)
		}
		if got := <-gone; !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("the stalled body: %+v", got)
		}
		_ = slow.to.Close()
		if got := <-kept; got.err != nil || got.body != "1234567890" {
			t.Errorf("the slow body: %+v", got)
		}
	})
}

// A body that trickles in has its time, too.
func TestTricklingBodiesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		trickling := newStranger(100)
		gone := trickling.read(b, 100)
		synctest.Wait() // it has the budget
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			for {
				if _, err := trickling.to.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		honest := newStranger(5)
		passed := honest.read(b, 100)
		go func() { _, _ = honest.to.Write([]byte("hello")) }()
		if got := <-passed; got.err != nil {
			t.Errorf("an honest body: %+v", got)
		}
		if got := <-gone; !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("the trickling body: %+v", got)
		}
	})
}

// Who waits gives up: with the request, or after a while when those who hold the
// budget are being answered.
func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		if !b.bytes.TryAcquire(100) {
			t.Fatal("the budget is spent")
		}
		began := time.Now()
		if got := <-newStranger(5).read(b, 100); !errors.Is(got.err, ErrBusy) || time.Since(began) != patience {
			t.Errorf("%+v after %v", got, time.Since(began))
		}
		leaving := newStranger(5)
		ctx, leave := context.WithCancelCause(t.Context())
		leaving.request = leaving.request.WithContext(ctx)
		done := leaving.read(b, 100)
		why := errors.New("left")
		leave(why)
		if got := <-done; !errors.Is(got.err, why) {
			t.Errorf("%+v", got)
		}
		b.bytes.Release(100)
		if !b.bytes.TryAcquire(100) {
			t.Error("something stays counted")
		}
	})
}

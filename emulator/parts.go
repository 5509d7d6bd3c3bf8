package emulator

import (
	"net/http"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
)

// Time changes the lab's time: advances, sets, freezes and speeds it up, and
// skews the clocks of parts, and writes down that it did.
func (e *Emulator) Time() *control.Timekeeper { return e.time }

// parts are those who have a clock that can be wrong: the token service, the
// resources, programs, and each hosted issuer.
func (e *Emulator) parts() []string {
	parts := clock.Reserved()
	for _, i := range e.issuers {
		parts = append(parts, i.Name())
	}
	return parts
}

// dated lets answers carry the time of the part that gives them.
func dated(clk clock.Clock, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = []string{clk.Now().Format(http.TimeFormat)}
		next.ServeHTTP(w, r)
	})
}

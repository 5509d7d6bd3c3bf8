package faults_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

func TestWhoWatchesIsToldOfFaultsThatCanHit(t *testing.T) {
	const web = "shop/web-sa"
	minutes := func(n int) fault.Duration { return fault.Duration(time.Duration(n) * time.Minute) }
	for _, row := range []struct {
		name  string
		fault fault.Fault
		want  string // + injected, a and b at the ends of its time, - cleared
	}{
		{"of this workload", fault.Fault{Name: faultkind.TokenFileEmpty, For: fault.Selector{Workload: web}}, "+-"},
		{"of everybody", fault.Fault{Name: faultkind.TokenFileEmpty}, "+-"},
		{"of another workload", fault.Fault{Name: faultkind.TokenFileEmpty, For: fault.Selector{Workload: "shop/api-sa"}}, ""},
		{"of another point", fault.Fault{Name: faultkind.TokenNotRotated}, ""},
		{"with a window", fault.Fault{Name: faultkind.TokenFileEmpty, When: fault.Limits{After: minutes(1), Until: minutes(2)}}, "+ab-"},
		{"with a window that is cleared early", fault.Fault{Name: faultkind.TokenFileEmpty, When: fault.Limits{Until: minutes(90)}}, "+-"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, clk, _ := newSet(t)
			var told strings.Builder
			now := "+"
			stop := s.Watch(faultkind.AtTokenFile, faults.Subject{Workload: web}, func() {
				told.WriteString(now)
				s.Hit(faultkind.AtTokenFile, faults.Subject{Workload: web}) // asking is allowed
			})
			id, err := s.Inject(row.fault)
			if err != nil {
				t.Fatal(err)
			}
			for _, then := range []string{"a", "b"} {
				now = then
				if err := clk.Advance(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			now = "-"
			if err := s.Clear(id); err != nil {
				t.Fatal(err)
			}
			now = "late"
			if err := clk.Advance(t.Context(), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
			stop()
			if _, err := s.Inject(row.fault); err != nil {
				t.Fatal(err)
			}
			if got := told.String(); got != row.want {
				t.Errorf("told %q, want %q", got, row.want)
			}
		})
	}
}

func TestRestoredFaultsAreTold(t *testing.T) {
	s, _, _ := newSet(t, fault.Fault{Name: faultkind.TokenFileEmpty, When: fault.Limits{Until: fault.Duration(time.Hour)}})
	other, _, _ := newSet(t)
	told := 0
	other.Watch(faultkind.AtTokenFile, faults.Subject{}, func() { told++ })
	if err := other.Restore(s.Active()); err != nil || told != 1 {
		t.Errorf("told %d times (%v), want once", told, err)
	}
}

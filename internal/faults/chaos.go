package faults

import (
	"math/rand/v2"
	"strconv"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
)

// Chaos returns many faults at a low rate, as Pebble has them for clients of ACME:
// throttling, failures, delays and lost connections, key sets in another order, keys and
// tokens that change at awkward moments. A client that retries as the SDKs do by default,
// honours Retry-After and reads its token file for every exchange survives them. The seed
// decides all of them; with 0 there are none. The resources are those whose clients try
// again by themselves.
//
// (Numbers that are strings, expires_in, are what the v1 endpoint and IMDS write
// in every lab.)
func Chaos(seed uint64, resources []string) []fault.Fault {
	if seed == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to be the same again
	// At most two of the kinds that fail hit one service, each at most once in four
	// calls: of the four attempts that azcore makes by default one gets through.
	now := func(every int) fault.Limits { return fault.Limits{Nth: 1 + random.IntN(every), Every: every} }
	between := func(least, most int) int { return least + random.IntN(most-least+1) }
	of := func(values ...string) string { return values[random.IntN(len(values))] }
	all := []fault.Fault{
		{Name: faultkind.Throttled, Parameters: fault.Settings{"retry-after": "1s"}, For: fault.Selector{Resource: Entra}, When: now(between(4, 7))},
		{Name: faultkind.ConnectionReset, Parameters: fault.Settings{"stage": of("before", "after")}, For: fault.Selector{Resource: Entra}, When: now(between(5, 9))},
	}
	for _, name := range resources {
		all = append(all,
			fault.Fault{Name: faultkind.Throttled, Parameters: fault.Settings{"retry-after": "1s"}, For: fault.Selector{Resource: name}, When: now(between(5, 9))},
			fault.Fault{Name: faultkind.ServerError, Parameters: fault.Settings{"status": of("500", "502", "503", "504")}, For: fault.Selector{Resource: name}, When: now(between(4, 7))},
		)
	}
	return append(all, []fault.Fault{
		{Name: faultkind.Slow, Parameters: fault.Settings{"latency": strconv.Itoa(between(20, 200)) + "ms"}, When: now(between(2, 5))},
		{Name: faultkind.JWKSSlow, Parameters: fault.Settings{"latency": strconv.Itoa(between(20, 200)) + "ms"}, When: now(between(2, 4))},
		{Name: faultkind.JWKSShuffled, When: now(between(1, 2))},
		{Name: faultkind.IssuerKeyRotated, When: now(between(1, 3))},
		{Name: faultkind.TokenRenewedEarly, Parameters: fault.Settings{"after": strconv.Itoa(between(2, 30)) + "m"}, When: now(between(1, 3))},
		{Name: faultkind.EntraKeyRotated, When: now(between(1, 4))},
	}...)
}

// InjectChaos injects the faults of [Chaos], without those that this lab disallows. They
// are not among [Set.Missed] if they hit nothing.
func (s *Set) InjectChaos(seed uint64, resources []string) error {
	for _, f := range Chaos(seed, resources) {
		if !s.allows(f) {
			continue
		}
		if _, err := s.inject(f, true); err != nil {
			return err
		}
	}
	return nil
}

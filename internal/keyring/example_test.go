package keyring_test

import (
	"context"
	"crypto"
	"fmt"
	"log"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/keyring"
)

// A cluster rotates its signing key every day. Verifiers see the next key an
// hour before it signs, and the last one for a day after it did.
func Example() {
	ctx := context.Background()
	lab := clock.Stopped(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	pool, err := keyring.OpenPool("", keyring.PoolOptions{}) // or a directory, to keep the keys
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	number := 0
	ring, err := keyring.New(ctx, lab, pool, keyring.Options{
		Name: "radix-dev",
		Identify: func(crypto.Signer) (string, []byte, error) {
			number++
			return fmt.Sprint("key-", number), nil, nil
		},
		RotateEvery: 24 * time.Hour, PublishAhead: time.Hour, RetireAfter: 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ring.Close()

	for _, wait := range []time.Duration{0, 23 * time.Hour, time.Hour, 24 * time.Hour} {
		if err := lab.Advance(ctx, wait); err != nil {
			log.Fatal(err)
		}
		fmt.Print(lab.Now().Format("Jan 2 15:04:"))
		for _, key := range ring.Published() {
			fmt.Print(" ", key.ID, " ", key.Stage)
		}
		fmt.Println()
	}
	// Output:
	// Nov 23 10:00: key-1 signing
	// Nov 24 09:00: key-1 signing key-2 published
	// Nov 24 10:00: key-2 signing key-1 retired
	// Nov 25 10:00: key-3 signing key-2 retired
}

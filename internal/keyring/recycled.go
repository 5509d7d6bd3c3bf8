package keyring

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"sync"
)

// Recycled takes the next n keys, waiting for those that are not made yet, and
// returns a pool of these alone. It starts no goroutine and waits for nothing, so
// that a lab inside a testing/synctest bubble can use it, and it never runs out:
// when the last key is taken the first is reused as another one, with the same
// primes and the next prime as public exponent. That key has an id, a public half
// and signatures of its own and costs a thousandth of a new one; but anyone with
// one of them can compute all of the same primes, which is why these keys are for tests
// that need more keys than there is time to make.
func (p *Pool) Recycled(ctx context.Context, n int) (*Pool, error) {
	if n < 1 {
		return nil, fmt.Errorf("key pool: a pool of %d keys: expected at least one", n)
	}
	b := &recycled{exponents: []int64{firstExponent}}
	for range n {
		key, err := p.Take(ctx)
		if err != nil {
			return nil, err
		}
		b.keys = append(b.keys, key)
	}
	return &Pool{recycled: b}, nil
}

// firstExponent is the public exponent of every key that is generated (Go:
// crypto/rsa.GenerateKey).
const firstExponent = 65537

type recycled struct {
	keys []*rsa.PrivateKey

	mu        sync.Mutex
	exponents []int64 // primes, ascending
}

func (b *recycled) key(index int) (*rsa.PrivateKey, error) {
	key, round := b.keys[index%len(b.keys)], index/len(b.keys)
	if round == 0 {
		return key, nil
	}
	return b.withExponent(key, round)
}

// withExponent makes a key of the same primes with the round-th usable exponent after
// the first.
func (b *recycled) withExponent(key *rsa.PrivateKey, round int) (*rsa.PrivateKey, error) {
	if len(key.Primes) != 2 {
		return nil, errors.New("key pool: a key that does not have two primes cannot be reused")
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one))
	for n := 1; ; n++ {
		e := big.NewInt(b.exponent(n))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil { // e divides phi
			continue
		}
		if round--; round > 0 {
			continue
		}
		other := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: key.N, E: int(e.Int64())}, D: d, Primes: key.Primes}
		other.Precompute()
		if err := other.Validate(); err != nil {
			return nil, fmt.Errorf("key pool: a key that is reused with exponent %v: %w", e, err)
		}
		return other, nil
	}
}

// exponent is the n-th prime from firstExponent on.
func (b *recycled) exponent(n int) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.exponents) <= n {
		next := b.exponents[len(b.exponents)-1] + 2
		for !big.NewInt(next).ProbablyPrime(0) { // which is exact below 2^64
			next += 2
		}
		b.exponents = append(b.exponents, next)
	}
	return b.exponents[n]
}

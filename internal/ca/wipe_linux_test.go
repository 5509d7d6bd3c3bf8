package ca

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// mask keeps the test's own copy of a key from being found.
const mask = 0x55

// makeAndWipe makes a CA as makeCA does, and returns the root's key, masked: as
// crypto/ecdsa writes it and as math/big has it in memory.
//
//go:noinline
func makeAndWipe(t *testing.T) (encoded, words []byte) {
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	defer wipe(key)
	secret := key.D.FillBytes(make([]byte, 32)) //nolint:staticcheck // the bytes that may lie in memory
	encoded, words = make([]byte, 32), make([]byte, 32)
	for i, b := range secret {
		encoded[i], words[31-i] = b^mask, b^mask
	}
	clear(secret)
	if _, err := signCA(key, names{exact: []string{"login.microsoftonline.com"}}, func(*x509.Certificate) {}); err != nil {
		t.Fatal(err)
	}
	return encoded, words
}

// copies counts how often a masked secret stands in this process's memory.
func copies(t *testing.T, secrets ...[]byte) (n int) {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	defer maps.Close()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer memory.Close()
	block, want := make([]byte, 1<<20), make([]byte, 32)
	defer clear(block)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		for ; from < to; from += int64(len(block)) {
			read, err := memory.ReadAt(block[:min(int64(len(block)), to-from)], from)
			if read == 0 && err != nil && err != io.EOF {
				break
			}
			for _, secret := range secrets {
				for i, b := range secret {
					want[i] = b ^ mask
				}
				n += bytes.Count(block[:read], want)
				clear(want)
			}
		}
	}
	return n
}

// TestTheRootsKeyIsGone: whoever reads the memory of a server must not find the key
// that could sign another intermediate. The collector may run elsewhere meanwhile, so
// one of some tries has to succeed; without wipe or overwriteFreed none does.
func TestTheRootsKeyIsGone(t *testing.T) {
	left := 0
	for range 10 {
		encoded, words := makeAndWipe(t)
		overwriteFreed()
		if left = copies(t, encoded, words); left == 0 {
			return
		}
	}
	t.Errorf("%d copies of the root's key are left in memory", left)
}

package keyring

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/statedir"
)

// take takes n keys of a pool.
func take(t *testing.T, p *Pool, n int) []*rsa.PrivateKey {
	t.Helper()
	keys := make([]*rsa.PrivateKey, n)
	for i := range keys {
		key, err := p.Take(t.Context())
		if err != nil {
			t.Fatalf("take key %d: %v", i, err)
		}
		keys[i] = key
	}
	return keys
}

// open opens a pool that is closed with the test.
func open(t *testing.T, dir string, opts PoolOptions) *Pool {
	t.Helper()
	p, err := OpenPool(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func same(a, b []*rsa.PrivateKey) bool {
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestEveryPoolOverADirectoryHandsOutTheSameKeysInTheSameOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "keys")
	first := open(t, dir, PoolOptions{})
	keys := take(t, first, 3)
	if keys[0].N.BitLen() != 2048 || keys[0].Equal(keys[1]) {
		t.Error("want different keys of 2048 bits")
	}
	lease := first.Lease()
	if !same(keys, take(t, lease, 3)) {
		t.Error("a lease in the same process got other keys")
	}
	_ = lease.Close()
	_ = first.Close()
	if !same(keys, take(t, open(t, dir, PoolOptions{}), 3)) {
		t.Error("the next process got other keys")
	}
}

func TestKeyFilesAreForTheirOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes are POSIX's")
	}
	dir := filepath.Join(t.TempDir(), "keys")
	take(t, open(t, dir, PoolOptions{Ahead: 1}), 1)
	for file, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "key-000.pem"): 0o600} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", file, info.Mode(), want)
		}
	}
}

func TestPoolsOfParallelProcessesAgree(t *testing.T) {
	dir := t.TempDir()
	got := make([][]*rsa.PrivateKey, 4)
	var all sync.WaitGroup
	for i := range got {
		p := open(t, dir, PoolOptions{Ahead: 1}) // a pool of its own, as a process has
		all.Go(func() {
			for range 2 {
				key, err := p.Take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = append(got[i], key)
			}
		})
	}
	all.Wait()
	for i := range got {
		if !same(got[0], got[i]) {
			t.Errorf("pool %d handed out other keys than pool 0", i)
		}
	}
}

func TestAFileThatHoldsNoKeyIsReplacedAndNamed(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty":                      {},
		"no PEM":                     []byte("not a key"),
		"PEM of another kind":        pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"PEM without a key":          pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte{0x30, 0}}),
		"a key of another algorithm": pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "key-000.pem")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			p := open(t, dir, PoolOptions{Ahead: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			key := take(t, p, 1)[0]
			_ = p.Close()
			if !strings.Contains(log.String(), file) {
				t.Errorf("the log does not name the file: %q", log.String())
			}
			files, err := statedir.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			stored, err := load(files, "key-000.pem")
			if err != nil || !stored.Equal(key) {
				t.Errorf("the file was not replaced by the key handed out: %v", err)
			}
		})
	}
}

func TestAFileThatCannotBeReadIsAnErrorNamingIt(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key-000.pem")
	if err := os.Mkdir(file, 0o700); err != nil { // unreadable for root, too
		t.Fatal(err)
	}
	_, err := open(t, dir, PoolOptions{Ahead: 1}).Take(t.Context())
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error naming %s", err, file)
	}
}

func TestADirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "occupied")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPool(file, PoolOptions{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error naming %s", err, file)
	}
}

func TestKeysAreMadeAheadOfThoseTaken(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, PoolOptions{Ahead: 2})
	take(t, p, 1)
	for filling := true; filling; runtime.Gosched() {
		p.cache.mu.Lock()
		filling = p.cache.filling
		p.cache.mu.Unlock()
	}
	for i, want := range []bool{true, true, true, false} { // one taken, two ahead
		if p.cache.stored(i) != want {
			t.Errorf("key %d is stored: %v, want %v", i, !want, want)
		}
	}
}

func TestTakeEndsWithItsContextAndAfterClose(t *testing.T) {
	p := open(t, "", PoolOptions{})
	take(t, p, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.mu.Lock()
	p.next = 1000 // surely not made yet
	p.mu.Unlock()
	if _, err := p.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	_ = p.Close()
	if _, err := p.Take(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("got %v, want %v", err, errClosed)
	}
}

func TestCloseWaitsForNoKeyAndLetsNothingBeWrittenAfterIt(t *testing.T) {
	dir := t.TempDir()
	p, err := OpenPool(dir, PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now() // wall time: how long Close takes
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 20*time.Millisecond {
		t.Logf("Close took %v", took) // a hint only: the machine may be busy
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	<-p.cache.slot(0).done
	<-p.cache.slot(1).done
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written after Close: %v", err)
	}
}

func TestALeaseOutlivesThePoolItCameFrom(t *testing.T) {
	p := open(t, t.TempDir(), PoolOptions{Ahead: 1})
	lease := p.Lease()
	_ = p.Close()
	_ = p.Close() // twice is once
	take(t, lease, 2)
	_ = lease.Close()
}

package keyring

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/wiemu/wiemu/internal/statedir"
)

// pemType is the label of a PKCS#8 private key (RFC 7468 §10).
const pemType = "PRIVATE KEY"

var errUnusable = errors.New("no PKCS#8 PEM file with an RSA-2048 key")

func file(index int) string { return fmt.Sprintf("key-%03d.pem", index) }

func (s *keyCache) stored(index int) bool {
	if s.dir == nil {
		return false
	}
	info, err := s.dir.Stat(file(index))
	return err == nil && info.Size() > 0
}

// loadOrCreate loads a key or makes it. A file that holds no key is replaced: it was
// cut short by a crash or a full disk, and the pool is a cache.
func (s *keyCache) loadOrCreate(index int) (*rsa.PrivateKey, error) {
	if s.unused() {
		return nil, errClosed
	}
	if s.dir == nil {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	file := file(index)
	key, err := load(s.dir, file)
	switch {
	case err == nil:
		return key, nil
	case errors.Is(err, errUnusable):
		s.log.Warn("key pool: a new key is made in place of a file that is none", "file", s.dir.Path(file), "error", err)
		return s.create(file, true)
	case errors.Is(err, fs.ErrNotExist):
		return s.create(file, false)
	default:
		return nil, fmt.Errorf("key pool: read a key: %w; make the file readable or delete it", err)
	}
}

// create makes a key and stores it. Where another process was faster its key is
// the one that counts. A key that cannot be stored still serves this process.
func (s *keyCache) create(file string, replace bool) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("key pool: make a key: %w", err)
	}
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.unused() {
		return key, nil
	}
	if replace {
		if theirs, err := load(s.dir, file); err == nil {
			return theirs, nil
		}
	}
	err = store(s.dir, file, key, replace)
	if errors.Is(err, fs.ErrExist) {
		return load(s.dir, file)
	}
	if err != nil {
		s.log.Warn("key pool: a key is not kept and will be made again by the next process", "file", s.dir.Path(file), "error", err)
	}
	return key, nil
}

func load(dir *statedir.Dir, file string) (*rsa.PrivateKey, error) {
	data, err := dir.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%s: %w", dir.Path(file), errUnusable)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dir.Path(file), errUnusable, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() != bits {
		return nil, fmt.Errorf("%s: %w", dir.Path(file), errUnusable)
	}
	return key, nil
}

// store writes a key whole or not at all: a complete file of another name gets
// the right one by link, which unlike rename never replaces what another process
// has put there.
func store(dir *statedir.Dir, file string, key *rsa.PrivateKey, replace bool) (err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	making := ".making-" + rand.Text() + ".pem"
	whole, err := dir.OpenFile(making, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Remove(making) }() // a rename has taken it already
	err = pem.Encode(whole, &pem.Block{Type: pemType, Bytes: der})
	if err := errors.Join(err, whole.Close()); err != nil {
		return err
	}
	if replace {
		return dir.Rename(making, file)
	}
	err = dir.Link(making, file)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links: the short race that is left can only cost
	// two processes that start together the same first key.
	if _, found := dir.Stat(file); found == nil {
		return fs.ErrExist
	}
	return dir.Rename(making, file)
}

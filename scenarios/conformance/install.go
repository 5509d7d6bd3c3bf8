package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Cache is a directory with installed clients. An installation is kept by the
// hash of all that it is made of, and removed when it has not been used for a week.
type Cache struct {
	Dir     string
	Environ []string // of the commands that install
}

// unused is how long an installation stays after its last use (wall time).
const unused = 7 * 24 * time.Hour

// openCache opens dir, else $WIEMU_CONFORMANCE_CACHE, else wiemu/conformance in the user's cache.
func openCache(dir string, environ []string) (*Cache, error) {
	dir = cmp.Or(dir, os.Getenv("WIEMU_CONFORMANCE_CACHE"))
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache directory: %w; set WIEMU_CONFORMANCE_CACHE", err)
		}
		dir = filepath.Join(user, "wiemu", "conformance")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache directory: %w", err)
	}
	// A Python compiles what it imports when it runs, which is little of what Azure CLI installs; Maven
	// ends before it would gain by the slower of Java's two compilers.
	c := &Cache{dir, append(slices.Clone(environ), "PIP_COMPILE=0", "MAVEN_OPTS=-XX:TieredStopAtLevel=1 "+os.Getenv("MAVEN_OPTS"))}
	return c, c.sweep()
}

// sweep removes installations that are unfinished or were not used for a week.
func (c *Cache) sweep() error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unused {
			if err := os.RemoveAll(filepath.Join(c.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// installed returns the directory in which the client is installed for a
// runtime, and whether it was so before. An installation does not move, since
// virtual environments contain their own path; a file names the finished one.
func (c *Cache) installed(ctx context.Context, client Client, runtime string) (dir string, before bool, err error) {
	key, err := client.key(runtime)
	if err != nil {
		return "", false, err
	}
	finished := filepath.Join(c.Dir, filepath.Base(client.Dir)+"-"+key)
	if dir, found := c.found(finished); found {
		return dir, true, nil
	}
	dir, err = os.MkdirTemp(c.Dir, filepath.Base(client.Dir)+"-"+key+"-")
	if err != nil {
		return "", false, err
	}
	if err := c.install(ctx, client, dir); err != nil {
		return "", false, errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.WriteFile(finished+".new", []byte(filepath.Base(dir)), 0o644); err != nil {
		return "", false, err
	}
	return dir, false, os.Rename(finished+".new", finished)
}

// found is the installation that a file names.
func (c *Cache) found(finished string) (dir string, _ bool) {
	name, err := os.ReadFile(finished)
	if err != nil {
		return "", false
	}
	dir = filepath.Join(c.Dir, string(name))
	now := time.Now() // wall time: when an installation was used
	return dir, os.Chtimes(dir, now, now) == nil && os.Chtimes(finished, now, now) == nil
}

func (c *Cache) install(ctx context.Context, client Client, dir string) error {
	if err := os.CopyFS(dir, os.DirFS(client.Dir)); err != nil {
		return err
	}
	if out, err := c.bash(ctx, client, dir, client.Install); err != nil {
		return fmt.Errorf("install: %w\n%s", err, lastLines(out, 30))
	}
	return nil
}

// bash runs one of the client's commands in a directory and returns what it printed.
func (c *Cache) bash(ctx context.Context, client Client, dir, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = slices.Concat(c.Environ, []string{"WIEMU_CONFORMANCE_SOURCE=" + client.Dir})
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// key is the hash of all that an installation is made of.
func (c Client) key(runtime string) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00", runtime, c.Install)
	add := func(name, file string) error {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(sum, "%s\x00", name)
		_, err = io.Copy(sum, f)
		return err
	}
	for _, with := range c.With {
		if err := add(with, filepath.Join(c.Dir, with)); err != nil {
			return "", err
		}
	}
	err := filepath.WalkDir(c.Dir, func(file string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(c.Dir, file)
		if err != nil || !entry.Type().IsRegular() || name == "client.yaml" {
			return err
		}
		return add(name, file)
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

func lastLines(text string, most int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

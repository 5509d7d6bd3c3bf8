package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/control"
)

func TestTheWebhookNeedsItsClusterAndAWay(t *testing.T) {
	for _, args := range [][]string{{"-webhook", "127.0.0.1:0"}, {"-cluster", "in-cluster", "-advertise", "169.254.7.7"}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), "-webhook, -cluster and -advertise go together") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := parse([]string{"-webhook", "127.0.0.1:0", "-cluster", "kubeconfig", "-advertise", "169.254.7.7"}); err != nil {
		t.Error(err)
	}
}

func TestVaultsAreMountedInTheLabsDirectory(t *testing.T) {
	if _, err := parse([]string{"-vaults", "vaults.json"}); err == nil || !strings.Contains(err.Error(), "-vaults: expected -lab") {
		t.Error(err)
	}
	if _, err := parse([]string{"-vaults", "vaults.json", "-lab", "lab"}); err != nil {
		t.Error(err)
	}
}

func TestTheControlDoorsTokenStaysTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	made, err := controlToken(dir)
	if err != nil || len(made) < 32 {
		t.Fatalf("made %q, %v", made, err)
	}
	if again, err := controlToken(dir); err != nil || again != made {
		t.Errorf("after a restart it is %q, %v; want %q", again, err, made)
	}
	if info, err := os.Stat(filepath.Join(dir, controlTokenFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v, %v; want mode 0600", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, controlTokenFile), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := controlToken(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("an empty file gives %v", err)
	}
}

// TestAPlantedTokenDoesNotOpenTheControlDoor: somebody else made the directory, or the
// file in it, and would know the token.
func TestAPlantedTokenDoesNotOpenTheControlDoor(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
	for _, planted := range []string{"", controlTokenFile} {
		dir := privateDir(t)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, controlTokenFile), []byte("known\n"), 0o644), os.Chown(filepath.Join(dir, planted), 54321, 54321)); err != nil {
			t.Fatal(err)
		}
		if token, err := controlToken(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, planted)+": expected it to belong to root") {
			t.Errorf("%q, %v", token, err)
		}
	}
}

func TestLockstepDirectoryHoldsAProgramAndWhoseClockItIs(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // also when the first copy is there already
		if err := publishLockstep(dir, control.Client{URL: "http://control.wiemu.test:9444", Token: "secret"}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, lockstepProgram))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program is %v, %v; want mode 0755", info, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, lockstepControl)); err != nil || string(data) != `{"URL":"http://control.wiemu.test:9444","Token":"secret"}` {
		t.Errorf("%s, %v", data, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAPlantedLinkInTheLockstepDirectoryIsNotFollowed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("lockstep is Linux's")
	}
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("intact"), 0o600), os.Symlink(victim, filepath.Join(dir, lockstepControl)), os.Symlink(victim, filepath.Join(dir, lockstepProgram))); err != nil {
		t.Fatal(err)
	}
	if err := publishLockstep(dir, control.Client{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "intact" {
		t.Errorf("the victim holds %d bytes, %v", len(data), err)
	}
}

func TestTimeshiftSaysWhatItNeeds(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{nil, "expected -- and the command"},
		{[]string{"--", "date"}, "wiemu-server -lockstep"},
	} {
		if code, err := runLockstep(t.Context(), row.args); code != 125 || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("timeshift %q: %d, %v; want 125 and %q", row.args, code, err, row.want)
		}
	}
}

// privateDir is a temporary directory that only its owner can write, whatever the umask.
func privateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

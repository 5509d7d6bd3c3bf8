package nodeservice

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if IsLauncher(os.Args) {
		fmt.Fprintln(os.Stderr, "launcher:", Launch(os.Args, os.Stderr))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestLaunched(t *testing.T) {
	const issuer, endpoint = "https://c.oic.wiemu.test/", "/pki/signer.sock"
	for _, test := range []struct {
		name     string
		endpoint string
		command  string
		want     string
	}{
		{
			"as kubeadm renders it", endpoint,
			"kube-apiserver --advertise-address=172.18.0.2 --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=/etc/kubernetes/pki/sa.pub --service-account-signing-key-file=/etc/kubernetes/pki/sa.key --tls-cert-file=a",
			"kube-apiserver --advertise-address=172.18.0.2 --tls-cert-file=a --service-account-issuer=https://c.oic.wiemu.test/ --service-account-signing-endpoint=/pki/signer.sock",
		},
		{
			"flags in any order, twice, with values of their own, with underscores", endpoint,
			"kube-apiserver --service-account-signing-key-file /sa.key --service_account_key_file=/a.pub --service-account-key-file=/b.pub --v 4 --service-account-issuer https://x",
			"kube-apiserver --v 4 --service-account-issuer=https://c.oic.wiemu.test/ --service-account-signing-endpoint=/pki/signer.sock",
		},
		{
			"with a shared key pair", "",
			"kube-apiserver --service-account-issuer=https://x --service-account-key-file=/sa.pub --service-account-signing-key-file=/sa.key",
			"kube-apiserver --service-account-key-file=/sa.pub --service-account-signing-key-file=/sa.key --service-account-issuer=https://c.oic.wiemu.test/",
		},
		{"whoever asks for the version", endpoint, "kube-apiserver --version", "kube-apiserver --version"},
		{"whoever asks for help", endpoint, "kube-apiserver -h", "kube-apiserver -h"},
		{"flags that begin alike", endpoint, "kube-apiserver --service-account-lookup=true", "kube-apiserver --service-account-lookup=true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := launched(strings.Fields(test.command), issuer, test.endpoint)
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("%v\n%s, want\n%s", err, strings.Join(got, " "), test.want)
			}
		})
	}
	if _, err := launched([]string{"kube-apiserver", keyFlag + "=a"}, "", endpoint); err == nil || !strings.Contains(err.Error(), "SERVICE_ACCOUNT_ISSUER is not set") {
		t.Errorf("without an issuer: %v", err)
	}
	if got, err := launched([]string{"kube-apiserver", "--version"}, "", endpoint); err != nil || len(got) != 2 {
		t.Errorf("the version without an issuer: %v %v", got, err)
	}
}

// The test program itself, linked as kube-apiserver, starts a script of that name.
func TestLaunch(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("API servers do not run on Windows")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours, again, theirs, nothing := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{ours, again} {
		if err := os.Link(self, filepath.Join(dir, Launcher)); err != nil {
			if err := os.Symlink(self, filepath.Join(dir, Launcher)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(nothing, Launcher), nil, 0o644); err != nil { // cannot be executed
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(theirs, Launcher), []byte("#!/bin/sh\necho \"$0 $* PATH=$PATH\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(path []string, env ...string) (stdout, stderr string, err error) {
		var out, problem strings.Builder
		cmd := exec.Command(filepath.Join(ours, Launcher), "--service-account-issuer=https://x", "--service-account-key-file=/sa.pub")
		cmd.Env = append(slices.Clone(env), "PATH="+strings.Join(path, string(os.PathListSeparator)))
		cmd.Stdout, cmd.Stderr = &out, &problem
		err = cmd.Run()
		return out.String(), problem.String(), err
	}
	socket := filepath.Join(t.TempDir(), "signer.sock")
	path := []string{ours, again, nothing, theirs, "/bin"}
	told := []string{"SERVICE_ACCOUNT_ISSUER=https://c/", "SERVICE_ACCOUNT_SIGNING_ENDPOINT=" + socket}

	stdout, stderr, err := run(path, told...)
	want := filepath.Join(theirs, Launcher) + " --service-account-issuer=https://c/ --service-account-signing-endpoint=" + socket + " PATH=" + theirs + ":/bin\n"
	if err != nil || stdout != want {
		t.Errorf("%v %s\n%s, want\n%s", err, stderr, stdout, want)
	}
	if !strings.Contains(stderr, "systemctl status wiemu.service") {
		t.Errorf("the signer is not there, and stderr says %q", stderr)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, stderr, err := run(path, told...); err != nil || stderr != "" {
		t.Errorf("the signer is there: %v %q", err, stderr)
	}
	if _, stderr, err := run([]string{ours, nothing}, told...); err == nil || !strings.Contains(stderr, "expected the real kube-apiserver further down the PATH") {
		t.Errorf("without a real one: %v %q", err, stderr)
	}
	if _, stderr, err := run(path); err == nil || !strings.Contains(stderr, "SERVICE_ACCOUNT_ISSUER is not set") {
		t.Errorf("without the patch: %v %q", err, stderr)
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify(Ready); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	socket := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	if err := Notify(Ready); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 64)
	n, _, err := systemd.ReadFrom(heard)
	if err != nil || string(heard[:n]) != "READY=1" {
		t.Errorf("systemd heard %q %v", heard[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", socket+"-gone")
	if err := Notify(Stopping); err == nil {
		t.Error("a socket that is not there: no error")
	}
}

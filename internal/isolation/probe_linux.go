package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe isolates a program that does nothing. The error says why programs cannot be
// isolated on this machine, and what to do about it.
func Probe(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "wiemu-isolation-")
	if err != nil {
		return fmt.Errorf("isolate a program: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	opts := Options{Dir: filepath.Join(dir, "run"), Tokens: filepath.Join(dir, "tokens"), TokenFile: "token", Roots: filepath.Join(dir, "roots.pem"), Proxy: "127.0.0.1:1"}
	if err := errors.Join(os.Mkdir(opts.Dir, 0o700), os.Mkdir(opts.Tokens, 0o700), os.WriteFile(opts.Roots, nil, 0o600)); err != nil {
		return fmt.Errorf("isolate a program: %w", err)
	}
	i, err := Start(opts)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{probeName}
	if err := i.Prepare(cmd); err != nil {
		return errors.Join(err, i.Close())
	}
	ran := cmd.Run()
	if err := i.Close(); err != nil { // says more than the exit code
		return err
	}
	if exit := (*exec.ExitError)(nil); ran != nil && !errors.As(ran, &exit) {
		return i.StartFailed(ran)
	}
	return ran
}

// explain makes an *Error of what the system refused, with what is known to be
// the cause on this machine.
func explain(step string, err error) error {
	if err == nil {
		return nil
	}
	if step == stepExecute {
		return fmt.Errorf("%s: %w", step, err)
	}
	return &Error{Step: step, Err: err, Remedy: remedy(step, err) + " Or run without --isolate: programs then reach the lab through its proxy."}
}

// stepRefuse is the step that takes seccomp.
const stepRefuse = "refuse system calls that lead out"

// stepExecute is the last one; what fails in it is about the program.
const stepExecute = "execute the isolated program"

func remedy(step string, err error) string {
	switch {
	case step == stepRefuse:
		return "seccomp(2) with filters is needed (CONFIG_SECCOMP_FILTER): permit it to this process, in a container by its seccomp profile."
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		return "The limit of user namespaces is reached: raise it (sudo sysctl -w user.max_user_namespaces=15000), or run as root."
	case setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor keeps unprivileged programs from using the namespaces that they may make (Ubuntu 23.10 and later): " +
			"permit it (sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0), give wiemu an AppArmor profile with the rule \"userns,\", or run as root."
	case setting("kernel/unprivileged_userns_clone") == "0":
		return "This kernel gives user namespaces to root only: permit them (sudo sysctl -w kernel.unprivileged_userns_clone=1), or run as root."
	case setting("user/max_user_namespaces") == "0":
		return "User namespaces are turned off: permit them (sudo sysctl -w user.max_user_namespaces=15000), or run as root."
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return "The system does not permit it. In a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or --privileged."
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS):
		return "This kernel may be without user namespaces (CONFIG_USER_NS)."
	}
	return "wiemu could not set up the namespaces."
}

// setting reads a kernel setting; "" if there is none. Source: proc_sys(5).
func setting(name string) string {
	data, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(data))
}

package isolation

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The names under which this program is executed again, inside the namespaces.
const (
	insideName = "wiemu: set up the isolated program"
	dialName   = "wiemu: connect to the isolated program"
	probeName  = "wiemu: check that programs can be isolated"
)

// inherited are the files that the layout inherits: its socket to the Isolation,
// and behind it the one of published ports. The program's own come before them.
type inherited int

func (i inherited) control() int { return int(i) }
func (i inherited) publish() int { return int(i) + 1 }

// IsHelperProcess reports whether an Isolation started this process to set up its namespaces. A
// program that isolates others checks this first in main, and calls RunHelper if so.
func IsHelperProcess() bool {
	return len(os.Args) > 0 && (os.Args[0] == insideName || os.Args[0] == dialName || os.Args[0] == probeName)
}

// RunHelper sets up the namespaces that this process was started in and executes the
// program. It does not return.
func RunHelper() {
	runtime.LockOSThread() // what follows changes the thread that becomes the program
	switch os.Args[0] {
	case dialName:
		dialHelper()
	case probeName:
		os.Exit(0) //nolint:forbidigo // there is no caller
	}
	number, err := strconv.Atoi(os.Args[1]) // see Prepare
	if err != nil {
		os.Exit(125) //nolint:forbidigo // there is no caller
	}
	files := inherited(number)
	step, err := inside(files)
	r := report{Step: step, Problem: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
		r.Problem = ""
		if path := (*os.PathError)(nil); errors.As(err, &path) {
			r.Problem = path.Op + " " + path.Path
		}
	}
	if message, err := json.Marshal(r); err == nil {
		_ = unix.Send(files.control(), message, unix.MSG_NOSIGNAL) // fails if wiemu has ended
	}
	os.Exit(125) //nolint:forbidigo // there is no caller
}

// inside returns only if something fails: the step and the error.
func inside(files inherited) (step string, err error) {
	control := os.NewFile(uintptr(files.control()), "control")
	var p plan
	message := make([]byte, 64<<10)
	n, _, err := receive(control, message, nil)
	if err == nil {
		err = json.Unmarshal(message[:n], &p)
	}
	if err != nil {
		return "read the plan", err
	}
	var sockets map[string]*os.File
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"bring up the network", setUpNetwork},
		{"mount what a pod sees", func() error { return mountFiles(p) }},
		{"open the lab's ports", func() (err error) { sockets, err = openSockets(p); return err }},
		{"start the connector of published ports", func() error { return startDialer(p, files) }},
		{"hand over the lab's ports", func() error { return sendSockets(control, sockets) }},
		{"wait for the lab", func() error { return waitForGo(control, message) }},
		{stepRefuse, refuseCalls},
		{"give up capabilities", dropCapabilities},
	} {
		if err := s.do(); err != nil {
			return s.name, err
		}
	}
	for _, fd := range []int{files.control(), files.publish()} {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC) // the second may not be open
	}
	// Executing may have cleared it (prctl(2), PR_SET_PDEATHSIG).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return "tie the program to wiemu", err
	}
	return stepExecute, unix.Exec(p.Command, os.Args[2:], os.Environ())
}

func sendSockets(control *os.File, sockets map[string]*os.File) error {
	var r report
	var fds []int
	for name, file := range sockets {
		r.Sockets = append(r.Sockets, name)
		fds = append(fds, int(file.Fd()))
	}
	message, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(int(control.Fd()), message, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
		return err
	}
	for _, file := range sockets {
		_ = file.Close() // the lab's now
	}
	return nil
}

func waitForGo(control *os.File, message []byte) error {
	n, _, err := receive(control, message, nil)
	if err == nil && n == 0 {
		err = errors.New("wiemu is gone")
	}
	return err
}

// startDialer starts the process that connects to the program's ports from
// inside. Its starter ends at once, so that the connector has no parent here: the
// program must not find children that it did not start.
func startDialer(p plan, files inherited) error {
	if !p.Publish {
		return nil
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{dialName, "start"}
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(files.publish()), "publish")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	return nil
}

package process

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const separators = `/\:`

func sameVariable(a, b string) bool { return strings.EqualFold(a, b) }

// candidates adds the extensions of programs.
func candidates(path string, env []string) []string {
	extensions := cmp.Or(Variable(env, "PATHEXT"), ".COM;.EXE;.BAT;.CMD")
	var all []string
	if filepath.Ext(path) != "" {
		all = append(all, path)
	}
	for _, extension := range strings.Split(strings.ToLower(extensions), ";") {
		all = append(all, path+extension)
	}
	return slices.Compact(all)
}

func executable(string, fs.FileInfo) bool { return true } // its extension says so

func stateCode(state *os.ProcessState) int { return state.ExitCode() }

// A processTree is the child and everything that it starts: the members of a job object, which
// end when its last handle is closed, however wiemu ends.
type processTree struct {
	background bool
	job        windows.Handle
}

func newProcessTree(background bool, _ []Wrapper) *processTree {
	return &processTree{background: background}
}

func (t *processTree) prepare(*exec.Cmd) {}

func (t *processTree) adopt(child *os.Process) (err error) {
	if t.job, err = windows.CreateJobObject(nil, nil); err != nil {
		return fmt.Errorf("make a job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(t.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return fmt.Errorf("limit the job object: %w", err)
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(child.Pid))
	if err != nil {
		return fmt.Errorf("open the process: %w", err)
	}
	defer windows.CloseHandle(process)
	if err := windows.AssignProcessToJobObject(t.job, process); err != nil {
		return fmt.Errorf("put the process into the job object: %w", err)
	}
	return nil
}

// terminate and kill both end the job: Windows has no signal to ask with.
func (t *processTree) terminate() { t.kill() }

func (t *processTree) kill() { _ = windows.TerminateJobObject(t.job, 1) }

func (t *processTree) reap(cmd *exec.Cmd, _ time.Duration) error {
	defer windows.CloseHandle(t.job)
	return cmd.Wait()
}

// A relay keeps Ctrl-C from ending wiemu: the console sends it to the child too.
type relay struct{ signals chan os.Signal }

func (t *processTree) listen() *relay {
	r := &relay{}
	if !t.background {
		r.signals = make(chan os.Signal, 1)
		signal.Notify(r.signals, os.Interrupt)
	}
	return r
}

func (r *relay) start() {}

func (r *relay) stop() {
	if r.signals != nil {
		signal.Stop(r.signals)
	}
}

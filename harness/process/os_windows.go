package process

import (
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
	extensions := variable(env, "PATHEXT")
	if extensions == "" {
		extensions = ".COM;.EXE;.BAT;.CMD"
	}
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

// A family is the child and what it starts: the members of a job object, which
// end when its last handle is closed, however wiemu ends.
type family struct {
	background bool
	job        windows.Handle
}

func newFamily(background bool) *family { return &family{background: background} }

func (f *family) prepare(*exec.Cmd) {}

func (f *family) adopt(child *os.Process) (err error) {
	if f.job, err = windows.CreateJobObject(nil, nil); err != nil {
		return fmt.Errorf("make a job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(f.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return fmt.Errorf("limit the job object: %w", err)
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(child.Pid))
	if err != nil {
		return fmt.Errorf("open the process: %w", err)
	}
	defer windows.CloseHandle(process)
	if err := windows.AssignProcessToJobObject(f.job, process); err != nil {
		return fmt.Errorf("put the process into the job object: %w", err)
	}
	return nil
}

// ask and kill end the job: there is no signal to ask with.
func (f *family) ask() { f.kill() }

func (f *family) kill() { _ = windows.TerminateJobObject(f.job, 1) }

func (f *family) reap(cmd *exec.Cmd, _ time.Duration) error {
	defer windows.CloseHandle(f.job)
	return cmd.Wait()
}

// A relay keeps Ctrl-C from ending wiemu: the console sends it to the child too.
type relay struct{ signals chan os.Signal }

func (f *family) listen() *relay {
	r := &relay{}
	if !f.background {
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

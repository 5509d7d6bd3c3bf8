//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"debug/elf"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// However a program reads a clock, it sees the same; what each does and looks at is in
// testdata/reads.c.
func TestEveryWayToReadAClockShowsTheSame(t *testing.T) {
	const asked = "its clock reads are system calls"
	for _, link := range []struct {
		name  string
		flags []string
	}{{"dynamically", nil}, {"statically", []string{"-static"}}} {
		program := compile(t, "reads", link.flags...)
		for _, test := range []struct {
			args   string
			speeds []float64
			root   bool
			note   string // amd64: why it asks
		}{
			{args: "equal", speeds: []float64{0}},
			{args: "bracketed", speeds: []float64{0, 1, 1000, 0.1}},
			{args: "others", speeds: []float64{0, 1}},
			{args: "unwinds", speeds: []float64{0, 1}},
			{args: "cancelled", speeds: []float64{0, 1}},
			{args: "attached", speeds: []float64{0}},
			{args: "readonly", speeds: []float64{0}},
			{args: "as-nobody equal", speeds: []float64{0}, root: true},
			{args: "own-ipc equal", speeds: []float64{0}, root: true, note: asked + ", which take microseconds instead of nanoseconds: it has its own IPC namespace"},
			{args: "own-filter equal", speeds: []float64{0}, note: asked + ", which take microseconds instead of nanoseconds: it has a seccomp filter of its own"},
		} {
			for _, speed := range test.speeds {
				t.Run(link.name+"/"+test.args, func(t *testing.T) {
					if test.root && os.Getuid() != 0 {
						t.Skip("only root may do this")
					}
					if !patched() && (test.args == "attached" || test.args == "readonly" || test.args == "unwinds") {
						t.Skip("programs have no vDSO on this architecture")
					}
					lab := clock.Stopped(start)
					if speed != 0 {
						if err := lab.SetSpeed(speed); err != nil {
							t.Fatal(err)
						}
					}
					c := launch(t, lab, lab, Options{Explain: true}, append([]string{program}, strings.Fields(test.args)...)...)
					if code := c.wait(); code != 0 || c.output() != "ok\n" {
						t.Errorf("exit code %d, it wrote %q\n%s", code, c.output(), c.said())
					}
					programs := c.shift.Report().Programs
					notes := strings.Join(programs[len(programs)-1].Note, "\n")
					if patched() && notes != test.note {
						t.Errorf("the report says %q, want %q", notes, test.note)
					}
					if !patched() && !strings.Contains(notes, asked) {
						t.Errorf("the report says %q, want that %s", notes, asked)
					}
				})
			}
		}
	}
}

// patched reports whether programs have a vDSO on this architecture.
func patched() bool {
	_, _, err := vdsoFunctions()
	return err == nil
}

func TestEveryWayToReadAClockGoesForwards(t *testing.T) {
	goesForwards(t, "reads", "onward", func(i int) float64 { return float64(1+i%1000) / 7 })
}

// Only programs whose memory wiemu can write are answered; they read the page all the same.
func TestASecretiveProgramReadsTheClock(t *testing.T) {
	if !patched() {
		t.Skip("programs have no vDSO on this architecture")
	}
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{}, compile(t, "reads"), "secretive")
	if code := c.wait(); code != 0 || strings.Count(c.output(), "1930132800\n") != 100 {
		t.Errorf("exit code %d, it wrote %q\n%s", code, c.output(), c.said())
	}
}

// A program that reads the clock until it shows a time is busy without end where time stands;
// it is not waited for as long as one that computes, and the report says so.
func TestAProgramThatSpinsOnTheClockIsNoticed(t *testing.T) {
	program := compile(t, "reads")
	for _, how := range []string{"clock_gettime", "coarse", "gettimeofday", "time", "syscall", "child"} {
		t.Run(how, func(t *testing.T) {
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{Explain: true}, program, "spins", how)
			c.until("begin", func() bool { return strings.Contains(c.output(), "begin") })
			began := time.Now()
			c.advance(time.Minute + time.Second)                         // time(2) shows whole seconds
			slow := how == "syscall" && time.Since(began) >= turnTimeout // it has not asked often enough by then: a busy machine
			if code := c.wait(); code != 0 || !strings.Contains(c.output(), "ok") {
				t.Errorf("exit code %d, it wrote %q\n%s", code, c.output(), c.said())
			}
			notes := c.shift.Report().Programs[0].Note // without it, it was waited for until the turn's limit
			if !slices.Contains(notes, spinNote) && !slow {
				t.Errorf("the report says %q, want %q", notes, spinNote)
			}
		})
	}
}

// A vDSO that is not as expected is not patched, and the error says why.
func TestAnUnknownVDSOIsNotPatched(t *testing.T) {
	if !patched() {
		t.Skip("programs have no vDSO on this architecture")
	}
	image, err := ownVDSO()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := patchVDSO(image, 1); err != nil {
		t.Fatalf("this machine's: %v", err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"no vDSO at all", "\x7fELF", "\x7fFLE", "read the vDSO"},
		{"another name", "__vdso_gettimeofday", "__vdso_getdaytimeof", "the vDSO has no __vdso_gettimeofday"},
		{"other unwind rules", "\x01zR\x00", "\x01zS\x00", "the unwind rules of the vDSO are not as expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := patchVDSO(bytes.ReplaceAll(image, []byte(test.old), []byte(test.new)), 1); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// What is read of a vDSO is what debug/elf reads of it.
func TestReadELF(t *testing.T) {
	image, err := ownVDSO()
	if err != nil {
		t.Skip(err)
	}
	whole, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := whole.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]span{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			want[s.Name] = span{s.Value, s.Value + s.Size}
		}
	}
	f, err := readELF(image)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || !maps.Equal(f.functions, want) {
		t.Errorf("functions %v, want %v", f.functions, want)
	}
	if s := whole.Section(".eh_frame"); s != nil {
		data, err := s.Data()
		if err != nil || f.unwind.address != s.Addr || !bytes.Equal(f.unwind.data, data) {
			t.Errorf("unwind rules at %#x, %d bytes, want %#x, %d bytes, %v", f.unwind.address, len(f.unwind.data), s.Addr, len(data), err)
		}
	}
}

func FuzzReadELF(f *testing.F) {
	image, err := ownVDSO()
	if err != nil {
		f.Skip(err)
	}
	f.Add(image)
	f.Fuzz(func(_ *testing.T, image []byte) {
		_, _ = patchVDSO(image, 1) // it does not panic
	})
}

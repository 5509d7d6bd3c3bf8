package store_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/store"
)

// counts is a value that changes often: how often each name was counted.
type counts map[string]int

type counted struct {
	Name string `json:"name"`
	To   int    `json:"to"`
	Pad  string `json:"pad,omitempty"`
}

// opened is a log of counts, with what has happened to them.
type opened struct {
	*store.Log
	value counts
	torn  *store.Torn
}

func openCounts(t *testing.T, dir *store.Dir) (*opened, error) {
	t.Helper()
	o := &opened{value: counts{}}
	l, torn, err := dir.OpenLog("counts.json", &o.value, func(line json.RawMessage) error {
		var c counted
		if err := store.Decode(line, &c); err != nil {
			return err
		}
		o.value[c.Name] = c.To
		return nil
	}, func() any { return o.value })
	o.Log, o.torn = l, torn
	return o, err
}

func (o *opened) count(t *testing.T, c counted) {
	t.Helper()
	if err := o.Append(c); err != nil {
		t.Fatal(err)
	}
	o.value[c.Name] = c.To
}

// What was appended is there after Close, and after a process that ended without it, in any
// order of both.
func TestChangesComeBack(t *testing.T) {
	dir := open(t, t.TempDir())
	for n := range 6 {
		o, err := openCounts(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if o.torn != nil || o.value["a"] != n || n > 0 && o.value[fmt.Sprint("only", n-1)] != n {
			t.Fatalf("in run %d: %v, torn %v", n, o.value, o.torn)
		}
		o.count(t, counted{Name: "a", To: n + 1})
		o.count(t, counted{Name: fmt.Sprint("only", n), To: n + 1})
		if n%3 == 1 {
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir.Path("counts.log")); !os.IsNotExist(err) {
				t.Errorf("after Close there is a log: %v", err)
			}
		}
	}
}

// A process may end after each byte that it writes: what it had acknowledged is there, and the
// next one goes on.
func TestTornAtEachByte(t *testing.T) {
	dir := open(t, t.TempDir())
	o, err := openCounts(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "a", To: 1})
	before, err := os.ReadFile(dir.Path("counts.log"))
	if err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "a", To: 2})
	after, err := os.ReadFile(dir.Path("counts.log"))
	if err != nil {
		t.Fatal(err)
	}
	for end := len(before); end <= len(after); end++ {
		for _, zeros := range []int{0, 40} { // which a disk may have behind, after a power cut
			data := append(append([]byte{}, after[:end]...), make([]byte, zeros)...)
			if zeros > 0 {
				data = append(data, '\n')
			}
			if err := os.WriteFile(dir.Path("counts.log"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := openCounts(t, dir)
			want := 1
			if end == len(after) {
				want = 2
			}
			if err != nil || again.value["a"] != want || (again.torn != nil) != (end > len(before) && end < len(after) || zeros > 0) {
				t.Fatalf("cut at %d with %d zeros: %v %v %v", end, zeros, again.value, again.torn, err)
			}
			again.count(t, counted{Name: "b", To: end})
			if third, err := openCounts(t, dir); err != nil || third.value["b"] != end || third.value["a"] != want || third.torn != nil {
				t.Fatalf("cut at %d, and gone on with: %v %v %v", end, third.value, third.torn, err)
			}
		}
	}
}

// A log does not grow without end, and nothing is lost when it begins again.
func TestALogIsCompacted(t *testing.T) {
	dir := open(t, t.TempDir())
	o, err := openCounts(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 100<<10)
	for n := range 40 {
		o.count(t, counted{Name: fmt.Sprint(n), To: n + 1, Pad: pad})
		if info, err := os.Stat(dir.Path("counts.log")); err != nil || info.Size() > 2<<20 {
			t.Fatalf("after %d: %v, %v", n, info.Size(), err)
		}
	}
	again, err := openCounts(t, dir)
	if err != nil || len(again.value) != 40 || again.value["39"] != 40 {
		t.Errorf("%v %v", again.value, err)
	}
}

// A process may end between the value and the log that begins again.
func TestAnOldLogIsInTheValue(t *testing.T) {
	dir := open(t, t.TempDir())
	o, err := openCounts(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "a", To: 1})
	old, err := os.ReadFile(dir.Path("counts.log"))
	if err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "a", To: 2})
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.Path("counts.log"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := openCounts(t, dir)
	if err != nil || again.value["a"] != 2 {
		t.Fatalf("%v %v", again.value, err)
	}
	again.count(t, counted{Name: "a", To: 3})
	if third, err := openCounts(t, dir); err != nil || third.value["a"] != 3 {
		t.Errorf("%v %v", third.value, err)
	}
}

func TestADamagedLogIsAnErrorThatSaysWhatToDo(t *testing.T) {
	for name, row := range map[string]struct {
		edit func(text string) string
		want string
	}{
		"another generation": {func(s string) string { return strings.Replace(s, `"generation":0`, `"generation":3`, 1) }, "changes since generation 3"},
		"another version":    {func(s string) string { return strings.Replace(s, `"version":1`, `"version":2`, 1) }, "version: expected 1, found 2"},
		"half a header":      {func(s string) string { return s[:strings.Index(s, "\n")] }, "line 1: expected a line feed at its end"},
		"no header":          {func(string) string { return "hello\n" }, "line 1: expected a JSON document"},
		"a changed line":     {func(s string) string { return strings.Replace(s, `"to":1`, `"to":9`, 1) }, "line 2: expected a change with its checksum"},
		"a changed last one": {func(s string) string { return strings.Replace(s, `"to":2`, `"to":9`, 1) }, "line 3: expected a change with its checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			o, err := openCounts(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			o.count(t, counted{Name: "a", To: 1})
			o.count(t, counted{Name: "a", To: 2})
			text, err := os.ReadFile(dir.Path("counts.log"))
			if err != nil {
				t.Fatal(err)
			}
			broken := row.edit(string(text))
			if broken == string(text) {
				t.Fatalf("nothing to change in\n%s", text)
			}
			if err := os.WriteFile(dir.Path("counts.log"), []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = openCounts(t, dir)
			if err == nil || !strings.Contains(err.Error(), dir.Path("counts.log")+": ") || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "remove") {
				t.Errorf("%v, want the file, %q and what to do", err, row.want)
			}
			if left, err := os.ReadFile(dir.Path("counts.log")); err != nil || string(left) != broken {
				t.Errorf("it was changed: %v", err)
			}
		})
	}
}

// A log that somebody takes away while it is open takes nothing with it.
func TestALogThatIsTakenAway(t *testing.T) {
	dir := open(t, t.TempDir())
	o, err := openCounts(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "a", To: 1})
	if err := os.Remove(dir.Path("counts.log")); err != nil {
		t.Fatal(err)
	}
	o.count(t, counted{Name: "b", To: 2})
	if again, err := openCounts(t, dir); err != nil || again.value["a"] != 1 || again.value["b"] != 2 {
		t.Errorf("%v %v", again.value, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	dir, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = dir.Close() })
	l, _, err := dir.OpenLog("counts.json", &counts{}, func(json.RawMessage) error { return nil }, func() any { return counts{} })
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		if err := l.Append(counted{Name: "a", To: n, Pad: strings.Repeat("x", 4000)}); err != nil {
			b.Fatal(err)
		}
	}
}

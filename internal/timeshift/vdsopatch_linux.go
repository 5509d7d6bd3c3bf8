//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// attachClock is the clock, which there is not, that a program reads with the secret to tell
// where it has attached the page.
const attachClock = 0x7769656d

// What is filled in in the code; see vdsocode_linux_amd64.s.
const (
	pageMark   = 0x5041474550414745
	secretMark = 0x5345435245545345
)

// A vdsoPatch replaces those functions of the kernel's vDSO that tell the time by code that
// reads the clock page. The rest of it stays, as do its tables of symbols: getrandom,
// getcpu, clock_getres, what returns from signal handlers. All addresses are relative to
// where the vDSO is in a program.
type vdsoPatch struct {
	start  uint64
	before []byte // from start on, in the kernel's
	after  []byte // and in ours
	attach uint64 // the code that attaches the page
	pages  []uint64
	unwind []span // rules for unwinding the replaced functions
}

type span struct{ from, to uint64 }

func (s span) length() uint64 { return s.to - s.from }

// newVDSOPatch makes the patch of this kernel's vDSO, which all 64-bit programs have, and so
// has this one. The error says why it cannot be patched.
func newVDSOPatch(secret uint64) (*vdsoPatch, error) {
	image, err := ownVDSO()
	if err != nil {
		return nil, err
	}
	return patchVDSO(image, secret)
}

// patchVDSO makes the patch of a vDSO, given as it is in memory.
func patchVDSO(image []byte, secret uint64) (*vdsoPatch, error) {
	replacements, attach, err := vdsoFunctions()
	if err != nil {
		return nil, err
	}
	f, err := readELF(image)
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	bodies, err := bodiesOf(f)
	if err != nil {
		return nil, err
	}
	room := slices.Clone(bodies)
	slices.SortFunc(room, func(a, b span) int { return int(a.from) - int(b.from) })
	for i := 1; i < len(room); i++ {
		if room[i].from < room[i-1].to {
			return nil, errors.New("functions of the vDSO overlap")
		}
	}
	end := room[len(room)-1].to
	p := &vdsoPatch{start: room[0].from, before: image[room[0].from:end], after: slices.Clone(image[room[0].from:end])}
	for _, r := range room {
		for at := r.from; at < r.to; at++ {
			p.after[at-p.start] = breakpoint
		}
	}
	// A function begins where the kernel's did, with a jump if it is longer.
	var elsewhere []int
	for i, body := range bodies {
		switch {
		case uint64(len(replacements[i])) <= body.length():
			p.put(&room, body.from, replacements[i], secret)
		case body.length() < jumpLength:
			return nil, fmt.Errorf("%s of the vDSO is shorter than a jump", clockFunctions[i])
		default:
			elsewhere = append(elsewhere, i)
			use(&room, span{body.from, body.from + jumpLength})
		}
	}
	for _, i := range elsewhere {
		at, ok := find(room, replacements[i])
		if !ok {
			return nil, errNoRoom
		}
		p.put(&room, at, replacements[i], secret)
		copy(p.after[bodies[i].from-p.start:], jumpTo(bodies[i].from, at))
	}
	at, ok := find(room, attach)
	if !ok {
		return nil, errNoRoom
	}
	p.attach = at
	p.put(&room, at, attach, secret)
	p.unwind, err = unwindRules(f, bodies)
	return p, err
}

var errNoRoom = errors.New("the functions of the vDSO are too short")

// bodiesOf finds where the functions are that tell the time.
func bodiesOf(f *elfImage) ([]span, error) {
	bodies := make([]span, 0, len(clockFunctions))
	for _, name := range clockFunctions {
		body, ok := f.functions[name]
		if !ok {
			return nil, fmt.Errorf("the vDSO has no %s", name)
		}
		if body.from > body.to || body.to > uint64(len(f.image)) {
			return nil, fmt.Errorf("%s is outside of the vDSO", name)
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// put writes code to where there is room, and fills it in.
func (p *vdsoPatch) put(room *[]span, at uint64, code []byte, secret uint64) {
	to := p.after[at-p.start:][:len(code)]
	copy(to, code)
	use(room, span{at, at + uint64(len(code))})
	for i := 0; i+8 <= len(code); i++ {
		switch binary.LittleEndian.Uint64(code[i:]) {
		case pageMark:
			p.pages = append(p.pages, at+uint64(i))
			binary.LittleEndian.PutUint64(to[i:], 0) // it asks
		case secretMark:
			binary.LittleEndian.PutUint64(to[i:], secret)
		}
	}
}

// find looks for room for code.
func find(room []span, code []byte) (at uint64, ok bool) {
	i := slices.IndexFunc(room, func(s span) bool { return s.length() >= uint64(len(code)) })
	if i < 0 {
		return 0, false
	}
	return room[i].from, true
}

// use takes what is used away from the room.
func use(room *[]span, used span) {
	var left []span
	for _, r := range *room {
		if used.to <= r.from || used.from >= r.to {
			left = append(left, r)
			continue
		}
		if used.from > r.from {
			left = append(left, span{r.from, used.from})
		}
		if after := (used.to + codeAlignment - 1) / codeAlignment * codeAlignment; after < r.to {
			left = append(left, span{after, r.to})
		}
	}
	*room = left
}

// unwindRules finds the rules by which unwinders find what the replaced functions have put on
// the stack. Ours put nothing there, and without rules that is what unwinders expect. Source:
// DWARF 5, 6.4; Linux Standard Base, 10.6 (.eh_frame).
func unwindRules(f *elfImage, bodies []span) (rules []span, err error) {
	address, data := f.unwind.address, f.unwind.data
	for at := 0; at+8 <= len(data); {
		size := int(binary.LittleEndian.Uint32(data[at:]))
		if size == 0 {
			break
		}
		if size < 0 || size > len(data)-at-4 {
			return nil, errUnwind
		}
		// The entry of a function: how far back the entry is that it shares with others (0 if this
		// is one), where the function is relative to here, its size, the length of an
		// augmentation, and the rules.
		if back := int(binary.LittleEndian.Uint32(data[at+4:])); back != 0 {
			const header, relative32 = 17, 0x1b // DW_EH_PE_pcrel|DW_EH_PE_sdata4
			common := at + 4 - back
			if size < header-4 || common < 0 || data[at+header-1] != 0 || !bytes.HasPrefix(data[common+8:], []byte("\x01zR\x00")) || data[common+16] != relative32 {
				return nil, errUnwind
			}
			begin := address + uint64(at) + 8 + uint64(int64(int32(binary.LittleEndian.Uint32(data[at+8:]))))
			end := begin + uint64(binary.LittleEndian.Uint32(data[at+12:]))
			if slices.ContainsFunc(bodies, func(b span) bool { return begin < b.to && b.from < end }) {
				rules = append(rules, span{address + uint64(at) + header, address + uint64(at+4+size)})
			}
		}
		at += 4 + size
	}
	return rules, nil
}

var errUnwind = errors.New("the unwind rules of the vDSO are not as expected")

// ownVDSO reads the vDSO of this process.
func ownVDSO() ([]byte, error) {
	vector, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return nil, fmt.Errorf("look for the vDSO: %w", err)
	}
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) != auxSysinfo {
			continue
		}
		memory, err := os.Open("/proc/self/mem")
		if err != nil {
			return nil, fmt.Errorf("read the vDSO: %w", err)
		}
		defer memory.Close()
		const longest = 16 * pageSize
		image := make([]byte, longest)
		n, err := memory.ReadAt(image, int64(binary.LittleEndian.Uint64(vector[8:])))
		if n < pageSize {
			return nil, fmt.Errorf("read the vDSO: %w", err)
		}
		return image[:n/pageSize*pageSize], nil
	}
	return nil, errors.New("this kernel has no vDSO")
}

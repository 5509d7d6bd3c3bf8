//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// What is read of ELF, which is 64-bit and little-endian here. Sources: elf(5), System V ABI,
// chapters 4 and 5. Package debug/elf reads all of it, and links decompressors and DWARF.
const (
	elfIdentity      = 16 // EI_NIDENT
	elfClass         = 4  // EI_CLASS
	elfClass64       = 2  // ELFCLASS64
	elfHeader        = 64 // bytes of Elf64_Ehdr
	elfSectionHeader = 64 // of Elf64_Shdr
	elfSymbol        = 24 // of Elf64_Sym
	elfDynamic       = 11 // SHT_DYNSYM
	elfNoBits        = 8  // SHT_NOBITS
	elfFunction      = 2  // STT_FUNC
)

// elfImage is what a vDSO says about itself.
type elfImage struct {
	image     []byte
	functions map[string]span // dynamic symbols that are functions
	unwind    elfSection      // .eh_frame; without data if there is none
}

type elfSection struct {
	name    uint32 // where it is in the names of the sections
	kind    uint32
	link    uint32 // of a table of symbols: the section with their names
	address uint64
	data    []byte
}

// readELF reads an image as it is in memory, where sections are at their offsets in the file.
func readELF(image []byte) (*elfImage, error) {
	if len(image) < elfHeader || !bytes.HasPrefix(image, []byte("\x7fELF\x02\x01")) {
		return nil, errors.New("expected 64-bit little-endian ELF, found something else")
	}
	at, size := binary.LittleEndian.Uint64(image[40:]), binary.LittleEndian.Uint16(image[58:])
	count, names := binary.LittleEndian.Uint16(image[60:]), binary.LittleEndian.Uint16(image[62:])
	table, ok := cut(image, at, uint64(count)*elfSectionHeader)
	if size != elfSectionHeader || !ok || names >= count {
		return nil, fmt.Errorf("expected headers of %d sections, each of %d bytes, at %#x of %#x", count, elfSectionHeader, at, len(image))
	}
	sections := make([]elfSection, count)
	for i := range sections {
		h := table[i*elfSectionHeader:]
		s := elfSection{name: binary.LittleEndian.Uint32(h), kind: binary.LittleEndian.Uint32(h[4:]), link: binary.LittleEndian.Uint32(h[40:]), address: binary.LittleEndian.Uint64(h[16:])}
		if s.data, ok = cut(image, binary.LittleEndian.Uint64(h[24:]), binary.LittleEndian.Uint64(h[32:])); !ok && s.kind != elfNoBits {
			return nil, fmt.Errorf("section %d is outside of it", i)
		}
		sections[i] = s
	}
	f := &elfImage{image: image, functions: map[string]span{}}
	for _, s := range sections {
		switch {
		case s.kind == elfDynamic && s.link < uint32(count):
			f.addFunctions(s.data, sections[s.link].data)
		case textAt(sections[names].data, s.name) == ".eh_frame":
			f.unwind = s
		}
	}
	return f, nil
}

func (f *elfImage) addFunctions(symbols, names []byte) {
	for ; len(symbols) >= elfSymbol; symbols = symbols[elfSymbol:] {
		if symbols[4]&0xf != elfFunction {
			continue
		}
		from := binary.LittleEndian.Uint64(symbols[8:])
		f.functions[textAt(names, binary.LittleEndian.Uint32(symbols))] = span{from, from + binary.LittleEndian.Uint64(symbols[16:])}
	}
}

// cut returns some bytes of an image; ok is false if it does not have them.
func cut(image []byte, from, size uint64) (part []byte, ok bool) {
	if from > uint64(len(image)) || size > uint64(len(image))-from {
		return nil, false
	}
	return image[from : from+size], true
}

// textAt returns the text that begins somewhere in a table and ends with a null; "" if none does.
func textAt(table []byte, at uint32) string {
	if uint64(at) >= uint64(len(table)) {
		return ""
	}
	text, _, _ := bytes.Cut(table[at:], []byte{0})
	return string(text)
}

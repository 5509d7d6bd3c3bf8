package trust

import (
	"crypto/ecdsa"
	"runtime"
)

// wipe overwrites a private key where it lies. Signing has left copies of it in memory
// that nobody refers to any more: see overwriteFreed.
func wipe(key *ecdsa.PrivateKey) {
	words := key.D.Bits() //nolint:staticcheck // the words themselves are overwritten; the key is not used again
	clear(words[:cap(words)])
	key.D.SetInt64(0) //nolint:staticcheck // as above
}

// overwriteFreed has what was freed lately overwritten. crypto/ecdsa copies a key for
// each signature, and keeps a copy as long as the key itself is referred to
// (crypto/internal/fips140cache); the collector frees these and leaves what is in
// them. So they are collected, which takes two rounds for what a weak pointer names,
// and blocks of each size are allocated again, which clears them. It is the best that
// can be done in Go 1.26, where runtime/secret is an experiment, and takes some
// milliseconds: it is for a CA that is kept, which is made once in a directory.
func overwriteFreed() {
	runtime.GC()
	runtime.GC()
	var held [][]byte
	for _, size := range sizes {
		for range max(64, 128<<10/size) {
			held = append(held, make([]byte, size))
		}
	}
	runtime.KeepAlive(held)
	clearStack(8)
}

// sizes are those of the runtime's blocks that a copy of a key can be in
// (internal/runtime/gc/sizeclasses.go).
var sizes = []int{
	8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 208, 224, 256, 288, 320, 352, 384,
	416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048,
}

// clearStack overwrites the stack below its caller.
//
//go:noinline
func clearStack(frames int) (sum byte) {
	var frame [8192]byte
	clear(frame[:])
	if frames > 0 {
		sum = clearStack(frames - 1)
	}
	return sum + frame[frames]
}

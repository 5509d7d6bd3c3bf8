package template

import (
	"crypto/sha1" //nolint:gosec // it names, it protects nothing: RFC 9562 §5.5
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/google/uuid"
)

// guidNamespace is that of the function guid, which makes UUIDs of version 5.
// Source: azure-docs, azure-resource-manager/bicep/bicep-functions-string.md, "guid".
var guidNamespace = uuid.MustParse("11fb06fb-712d-4ddd-98c7-e71bbd588830")

// GUID is what the function guid makes of texts.
func GUID(texts ...string) string {
	return uuid.NewHash(sha1.New(), guidNamespace, []byte(strings.Join(texts, "-")), 5).String()
}

// UniqueString is what the function uniqueString makes of texts: 64 bits of a MurmurHash3 of 32
// bits with two lanes, in base 32.
// Source: the values of its test, and the function unique_string of Azure/terraform-provider-azapi
// (internal/services/functions), which is to have the same ones; that differs from Azure's own where
// it takes the absolute value of a lane.
func UniqueString(texts ...string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	hash := murmur64([]byte(strings.Join(texts, "-")))
	var out [13]byte
	for i := range out {
		out[i] = alphabet[hash>>59]
		hash <<= 5
	}
	return string(out[:])
}

const (
	mixFirst  = 0x239b961b
	mixSecond = 0xab0e9789
)

// murmur64 is the hash of uniqueString.
func murmur64(data []byte) uint64 {
	var h1, h2 uint32
	length := uint32(len(data)) //nolint:gosec // an expression has 24,576 characters, and what it makes 64 MiB at most
	for ; len(data) >= 8; data = data[8:] {
		h1 = bits.RotateLeft32(h1^lane(binary.LittleEndian.Uint32(data), mixFirst, mixSecond, 15), 19) + h2
		h1 = h1*5 + 0x561ccd1b
		h2 = bits.RotateLeft32(h2^lane(binary.LittleEndian.Uint32(data[4:]), mixSecond, mixFirst, 17), 13) + h1
		h2 = h2*5 + 0x0bcaa747
	}
	var tail [8]byte
	copy(tail[:], data)
	if len(data) > 0 {
		h1 ^= lane(binary.LittleEndian.Uint32(tail[:]), mixFirst, mixSecond, 15)
	}
	if len(data) > 4 {
		h2 ^= lane(binary.LittleEndian.Uint32(tail[4:]), mixSecond, mixFirst, 17)
	}
	h1, h2 = h1^length, h2^length
	h1 += h2
	h2 += h1
	h1, h2 = avalanche(h1), avalanche(h2)
	h1 += h2
	h2 += h1
	return uint64(h2)<<32 | uint64(h1)
}

func lane(k, before, after uint32, turn int) uint32 {
	return bits.RotateLeft32(k*before, turn) * after
}

func avalanche(h uint32) uint32 {
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

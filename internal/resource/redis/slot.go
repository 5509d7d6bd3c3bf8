package redis

import "strings"

// slots is how many a cluster has.
const slots = 16384

// slot is where a cluster keeps a key: by the part between the first braces, if there is something.
// Source: redis.io, "Redis cluster specification", "Hash tags" and appendix A.
func slot(key string) uint16 {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	return crc16(key) % slots
}

// crc16 is CRC-16/XMODEM: the polynomial 0x1021 from 0.
func crc16(text string) (sum uint16) {
	for i := range len(text) {
		sum ^= uint16(text[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

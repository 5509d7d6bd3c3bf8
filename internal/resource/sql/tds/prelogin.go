package tds

import (
	"encoding/binary"
	"errors"
)

// Options of PRELOGIN (2.2.6.5).
const (
	optVersion    = 0x00
	optEncryption = 0x01
	optInstance   = 0x02
	optThread     = 0x03
	optMARS       = 0x04
	optFedAuth    = 0x06
	optNonce      = 0x07
	optEnd        = 0xFF
)

// Encryption, as PRELOGIN negotiates it.
const (
	encryptOff          = 0x00
	encryptOn           = 0x01
	encryptNotSupported = 0x02
	encryptRequired     = 0x03
)

// prelogin is what a peer says before a login.
type prelogin struct {
	encryption   byte
	fedAuth      bool // FEDAUTHREQUIRED was sent
	fedAuthValue byte
	nonce        []byte // 32 bytes; nil if none was sent
}

func parsePrelogin(b []byte) (prelogin, error) {
	var p prelogin
	first := true
	for i := 0; ; i += 5 {
		if i >= len(b) {
			return p, errors.New("PRELOGIN without a terminator")
		}
		if b[i] == optEnd {
			return p, nil
		}
		if i+5 > len(b) {
			return p, errors.New("PRELOGIN is too short")
		}
		from := int(binary.BigEndian.Uint16(b[i+1:]))
		to := from + int(binary.BigEndian.Uint16(b[i+3:]))
		if to > len(b) {
			return p, errors.New("PRELOGIN option beyond the end")
		}
		data := b[from:to]
		if first && b[i] != optVersion {
			return p, errors.New("PRELOGIN does not begin with the version")
		}
		first = false
		switch {
		case b[i] == optEncryption && len(data) > 0:
			p.encryption = data[0]
		case b[i] == optFedAuth && len(data) > 0:
			p.fedAuth, p.fedAuthValue = true, data[0]
		case b[i] == optNonce && len(data) == 32:
			p.nonce = data
		}
	}
}

// answer is the server's PRELOGIN. FEDAUTHREQUIRED and the nonce are answered only to a
// client that sent them; MARS and instances are refused.
func (p prelogin) answer(version [6]byte, encryption byte, nonce []byte) []byte {
	options := []option{{optVersion, version[:]}, {optEncryption, []byte{encryption}}, {optInstance, []byte{0}}, {optThread, nil}, {optMARS, []byte{0}}}
	if p.fedAuth {
		options = append(options, option{optFedAuth, []byte{p.fedAuthValue & 1}})
	}
	if p.nonce != nil {
		options = append(options, option{optNonce, nonce})
	}
	return appendOptions(options)
}

type option struct {
	id   byte
	data []byte
}

// appendOptions writes a PRELOGIN message: the options' places, then their data.
func appendOptions(options []option) []byte {
	var head, body []byte
	at := 5*len(options) + 1
	for _, o := range options {
		head = append(head, o.id)
		head = binary.BigEndian.AppendUint16(head, uint16(at+len(body)))
		head = binary.BigEndian.AppendUint16(head, uint16(len(o.data)))
		body = append(body, o.data...)
	}
	return append(append(head, optEnd), body...)
}

// negotiate returns the answer of a server that insists on encryption, and whether the
// client can encrypt.
func (p prelogin) negotiate() (answer byte, ok bool) {
	switch p.encryption & 0x0F {
	case encryptOff:
		return encryptRequired, true // or only LOGIN7 would be encrypted
	case encryptNotSupported:
		return encryptRequired, false
	default:
		return encryptOn, true
	}
}

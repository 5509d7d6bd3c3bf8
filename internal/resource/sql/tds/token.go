package tds

import (
	"encoding/binary"
	"fmt"
)

// Tokens (2.2.7).
const (
	tokReturnStatus = 0x79
	tokColMetadata  = 0x81
	tokError        = 0xAA
	tokInfo         = 0xAB
	tokReturnValue  = 0xAC
	tokLoginAck     = 0xAD
	tokFeatureAck   = 0xAE
	tokRow          = 0xD1
	tokEnvChange    = 0xE3
	tokFedAuthInfo  = 0xEE
	tokDone         = 0xFD
	tokDoneProc     = 0xFE
	tokDoneInProc   = 0xFF
)

// Status bits of DONE.
const (
	doneMore          = 0x0001
	doneError         = 0x0002
	doneInTransaction = 0x0004
	doneCount         = 0x0010
	doneAttention     = 0x0020
	doneSevere        = 0x0100
)

// Kinds of ENVCHANGE (2.2.7.9).
const (
	envDatabase   = 1
	envLanguage   = 2
	envPacketSize = 4
	envCollation  = 7
	envBegin      = 8
	envCommit     = 9
	envRollback   = 10
	envReset      = 18
	envRouting    = 20
)

// Error is an error or a message of SQL Server.
type Error struct {
	Number  int32
	State   byte
	Class   byte // the severity; below 11 it is a message
	Message string
	Line    int32  // of the batch, from 1; 0 stands for 1
	Next    *Error // a second one that the server sends after this one
}

// Error implements error, as sqlcmd prints it.
func (e *Error) Error() string {
	return fmt.Sprintf("Msg %d, Level %d, State %d: %s", e.Number, e.Class, e.State, e.Message)
}

// Errorf returns an error of severity 16 and state 1.
func Errorf(number int32, format string, args ...any) *Error {
	return &Error{Number: number, State: 1, Class: 16, Message: fmt.Sprintf(format, args...)}
}

func appendText8(b []byte, s string) []byte {
	u := toUTF16(s)
	if len(u) > 510 {
		u = u[:510]
	}
	return append(append(b, byte(len(u)/2)), u...)
}

// maxText is how many characters of a message are sent, as of PRINT's: a token with more than
// 64 KiB would have a length that lies.
const maxText = 4000

func appendText16(b []byte, s string) []byte {
	u := toUTF16(s[:min(len(s), 4*maxText)])
	u = u[:min(len(u), 2*maxText)]
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(u)/2)), u...)
}

func appendError(b []byte, e *Error, server string) []byte {
	id := byte(tokError)
	if e.Class < 11 {
		id = tokInfo
	}
	var d []byte
	d = binary.LittleEndian.AppendUint32(d, uint32(e.Number))
	d = append(d, e.State, e.Class)
	d = appendText16(d, e.Message)
	d = appendText8(d, server)
	d = appendText8(d, "") // of a procedure
	d = binary.LittleEndian.AppendUint32(d, uint32(max(e.Line, 1)))
	b = binary.LittleEndian.AppendUint16(append(b, id), uint16(len(d)))
	return append(b, d...)
}

func appendEnv(b []byte, kind byte, body []byte) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, tokEnvChange), uint16(1+len(body)))
	return append(append(b, kind), body...)
}

func appendEnvText(b []byte, kind byte, now, before string) []byte {
	return appendEnv(b, kind, appendText8(appendText8(nil, now), before))
}

func appendEnvBytes(b []byte, kind byte, now, before []byte) []byte {
	return appendEnv(b, kind, append(append(append([]byte{byte(len(now))}, now...), byte(len(before))), before...))
}

// appendRouting sends the client to another host.
func appendRouting(b []byte, host string, port uint16) []byte {
	d := append([]byte{0}, byte(port), byte(port>>8))
	d = appendText16(d, host)
	body := append(binary.LittleEndian.AppendUint16(nil, uint16(len(d))), d...)
	return appendEnv(b, envRouting, append(body, 0, 0))
}

func appendLoginAck(b []byte, tdsVersion uint32, name string, version [4]byte) []byte {
	d := []byte{1} // SQL_TSQL
	d = binary.BigEndian.AppendUint32(d, tdsVersion)
	d = append(appendText8(d, name), version[:]...)
	b = binary.LittleEndian.AppendUint16(append(b, tokLoginAck), uint16(len(d)))
	return append(b, d...)
}

func appendFeatureAck(b []byte, acks []feature) []byte {
	b = append(b, tokFeatureAck)
	for _, a := range acks {
		b = binary.LittleEndian.AppendUint32(append(b, a.id), uint32(len(a.data)))
		b = append(b, a.data...)
	}
	return append(b, 0xFF)
}

// appendFedAuthInfo says where to get a token, and for what. Offsets count from the number
// of ids (2.2.7.12).
func appendFedAuthInfo(b []byte, sts, spn string) []byte {
	values := [][]byte{toUTF16(sts), toUTF16(spn)}
	head := binary.LittleEndian.AppendUint32(nil, 2)
	at := 4 + 2*9
	var body []byte
	for i, v := range values {
		head = append(head, byte(i+1)) // 1 STSURL, 2 SPN
		head = binary.LittleEndian.AppendUint32(head, uint32(len(v)))
		head = binary.LittleEndian.AppendUint32(head, uint32(at+len(body)))
		body = append(body, v...)
	}
	b = binary.LittleEndian.AppendUint32(append(b, tokFedAuthInfo), uint32(len(head)+len(body)))
	return append(append(b, head...), body...)
}

func appendDone(b []byte, token byte, status, command uint16, count int64) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, token), status)
	b = binary.LittleEndian.AppendUint16(b, command)
	return binary.LittleEndian.AppendUint64(b, uint64(count))
}

func appendColumns(b []byte, columns []Column) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, tokColMetadata), uint16(len(columns)))
	for _, c := range columns {
		var flags uint16
		if c.Nullable {
			flags |= 0x01
		}
		b = binary.LittleEndian.AppendUint32(b, 0) // user type
		b = binary.LittleEndian.AppendUint16(b, flags)
		b = c.Type.appendInfo(b)
		b = appendText8(b, c.Name)
	}
	return b
}

// appendReturnValue writes an output parameter (2.2.7.19).
func appendReturnValue(b []byte, o output) ([]byte, error) {
	b = binary.LittleEndian.AppendUint16(append(b, tokReturnValue), uint16(o.ordinal))
	b = appendText8(b, o.Name)
	b = append(b, 1) // an output parameter
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, 1) // nullable
	of := o.Type.Nullable()
	return of.appendValue(of.appendInfo(b), o.Value)
}

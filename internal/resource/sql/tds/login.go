package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// Features of LOGIN7 (2.2.6.4).
const (
	featureSessionRecovery = 0x01
	featureFedAuth         = 0x02
	featureAzureSQL        = 0x08
	featureUTF8            = 0x0A
	featureDNSCaching      = 0x0B
	featureRouting         = 0x0F
)

// Libraries of FEDAUTH: what the client has to say about how it gets its token.
const (
	LibrarySecurityToken = 0x01 // the token is in LOGIN7
	LibraryADAL          = 0x02 // the server says where to get one first
)

// Versions of TDS, as LOGINACK has them.
const (
	version74 = 0x74000004
	version80 = 0x08000000
)

// feature is an extension that a peer knows.
type feature struct {
	id   byte
	data []byte
}

// Login is what a client says in LOGIN7.
type Login struct {
	PacketSize int // in bytes; 0 leaves it to the server
	Host       string
	User       string
	Password   string
	App        string
	Server     string // as the program named it, with a port or tcp: in front of it
	Library    string
	Language   string
	Database   string // "" for the server's default
	Integrated bool   // a login of Windows (SSPI)
	FedAuth    *FedAuth

	features []feature
	fixed    []byte // the first 94 bytes
}

// FedAuth is the extension by which a client logs in with a token.
type FedAuth struct {
	Library  byte
	Workflow byte   // of ADAL: 1 password, 2 integrated, 3 interactive; says nothing about the credential
	Token    string // "" for ADAL, whose token comes in a message of its own

	echo bool // of FEDAUTHREQUIRED
}

// loginFixed is how long the part of LOGIN7 is that has every field at its place.
const loginFixed = 94

// maxLoginText is how many characters a field may have (2.2.6.4).
const maxLoginText = 128

func parseLogin(b []byte) (*Login, error) {
	if len(b) < loginFixed {
		return nil, errors.New("LOGIN7 is too short")
	}
	if n := binary.LittleEndian.Uint32(b); int64(n) > int64(len(b)) {
		return nil, fmt.Errorf("LOGIN7 of %d bytes says that it has %d", len(b), n)
	}
	l := &Login{
		PacketSize: int(binary.LittleEndian.Uint32(b[8:])),
		Integrated: b[25]&0x80 != 0,
		fixed:      b[:loginFixed],
	}
	var err error
	field := func(at int) []byte {
		from := int(binary.LittleEndian.Uint16(b[at:]))
		n := int(binary.LittleEndian.Uint16(b[at+2:]))
		if n > maxLoginText {
			err = fmt.Errorf("a LOGIN7 field of %d characters; expected %d at most", n, maxLoginText)
			return nil
		}
		to := from + 2*n
		if to > len(b) {
			err = errors.New("LOGIN7 field beyond the end")
			return nil
		}
		return b[from:to]
	}
	text := func(at int) string { return fromUTF16(field(at)) }
	l.Host, l.User, l.App, l.Server = text(36), text(40), text(48), text(52)
	l.Library, l.Language, l.Database = text(60), text(64), text(68)
	l.Password = fromUTF16(reveal(field(44)))
	if err != nil {
		return nil, err
	}
	if b[27]&0x10 != 0 { // fExtension: the field points to the offset of the features
		at := int(binary.LittleEndian.Uint16(b[56:]))
		if at+4 > len(b) {
			return nil, errors.New("LOGIN7 extension beyond the end")
		}
		from := int(binary.LittleEndian.Uint32(b[at:]))
		if from < 0 || from > len(b) {
			return nil, errors.New("LOGIN7 features beyond the end")
		}
		if l.features, err = parseFeatures(b[from:]); err != nil {
			return nil, err
		}
	}
	for _, f := range l.features {
		if f.id == featureFedAuth {
			if l.FedAuth, err = parseFedAuth(f.data); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// version is that of TDS which the client asks for.
func (l *Login) version() uint32 { return binary.LittleEndian.Uint32(l.fixed[4:]) }

func parseFeatures(b []byte) ([]feature, error) {
	var all []feature
	for len(b) > 0 && b[0] != 0xFF {
		if len(b) < 5 {
			return nil, errors.New("feature is too short")
		}
		n := int(binary.LittleEndian.Uint32(b[1:]))
		if n < 0 || n > len(b)-5 {
			return nil, errors.New("feature beyond the end")
		}
		all = append(all, feature{b[0], b[5 : 5+n]})
		b = b[5+n:]
	}
	return all, nil
}

// parseFedAuth reads the extension. The echo is the lowest bit, the library the other
// seven; MS-TDS draws them the other way round (learn.microsoft.com/answers/questions/1421655).
func parseFedAuth(b []byte) (*FedAuth, error) {
	if len(b) == 0 {
		return nil, errors.New("FEDAUTH without options")
	}
	f := &FedAuth{echo: b[0]&1 != 0, Library: b[0] >> 1}
	switch f.Library {
	case LibrarySecurityToken:
		if len(b) < 5 {
			return nil, errors.New("FEDAUTH without a token")
		}
		n := int(binary.LittleEndian.Uint32(b[1:]))
		if n < 0 || n > len(b)-5 {
			return nil, errors.New("FEDAUTH token beyond the end")
		}
		f.Token = fromUTF16(b[5 : 5+n])
	case LibraryADAL:
		if len(b) > 1 {
			f.Workflow = b[1]
		}
	}
	return f, nil
}

// parseFedAuthMessage takes the token out of a message of type 0x08 (2.2.6.3).
func parseFedAuthMessage(b []byte) (token string, err error) {
	if len(b) < 8 {
		return "", errors.New("the message with the token is too short")
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n < 0 || n > len(b)-8 {
		return "", errors.New("the token ends beyond its message")
	}
	return fromUTF16(b[8 : 8+n]), nil
}

// obscure and reveal are what LOGIN7 does to passwords (2.2.6.4).
func obscure(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = (c<<4 | c>>4) ^ 0xA5
	}
	return out
}

func reveal(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		c ^= 0xA5
		out[i] = c<<4 | c>>4
	}
	return out
}

func fromUTF16(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

func toUTF16(s string) []byte {
	b := make([]byte, 0, 2*len(s))
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

//go:build amd64 || arm64

package lead

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A header is a struct msghdr of the program. Source: recvmsg(2).
type header struct {
	start       uint64 // where it is
	name        uint64
	nameSize    uint32
	vectors     uint64
	vectorCount uint64
	control     uint64
	controlSize uint64
}

// The layout of struct msghdr on 64-bit systems, and of struct mmsghdr, which begins with
// one.
const (
	headerNameSize    = 8
	headerVectors     = 16
	headerVectorCount = 24
	headerControl     = 32
	headerControlSize = 40
	headerFlags       = 48
	headerSize        = 56
	messageSize       = 64 // of mmsghdr; how much was sent or received is at headerSize
)

const (
	maxMessages = 1024 // of a call; UIO_MAXIOV, as the next
	maxVectors  = 1024
)

func readHeader(tid int, at uint64) (header, error) {
	var raw [headerSize]byte
	if err := readMemory(tid, at, raw[:]); err != nil {
		return header{}, err
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	return header{
		start: at, name: word(0), nameSize: uint32(word(headerNameSize)), vectors: word(headerVectors), vectorCount: word(headerVectorCount),
		control: word(headerControl), controlSize: word(headerControlSize),
	}, nil
}

// A vector is a struct iovec of the program.
type vector struct{ at, size uint64 }

// buffers are where the data of a message is, and how much in all: at most maxData.
func (h header) buffers(tid int) (all []vector, size int, err error) {
	const vectorSize = 16
	raw := make([]byte, vectorSize*min(h.vectorCount, maxVectors))
	if err := readMemory(tid, h.vectors, raw); err != nil {
		return nil, 0, err
	}
	for ; len(raw) > 0; raw = raw[vectorSize:] {
		v := vector{binary.LittleEndian.Uint64(raw), min(binary.LittleEndian.Uint64(raw[8:]), uint64(maxData-size))}
		all = append(all, v)
		size += int(v.size)
	}
	return all, size, nil
}

// data is what a message is made of.
func (h header) data(tid int) ([]byte, error) {
	buffers, size, err := h.buffers(tid)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	rest := data
	for _, v := range buffers {
		if err := readMemory(tid, v.at, rest[:v.size]); err != nil {
			return nil, err
		}
		rest = rest[v.size:]
	}
	return data, nil
}

// outgoing is a message that the program sends, and where it leads.
type outgoing struct {
	header
	address
	destination
}

// sendMessages looks for messages that are to be led, among one (sendmsg) or several
// (sendmmsg).
func (n *Network) sendMessages(c *call, count, flags int) (verdict, func() verdict) {
	var all []outgoing
	first := -1 // that leads somewhere; any that leads nowhere has all be refused
	for i := range count {
		m, err := n.outgoing(int(c.Thread), c.Args[1]+uint64(i*messageSize), flags)
		if err != nil {
			return n.unreadable(c, err), nil
		}
		if m.route != routeOn && first < 0 || m.route == routeNowhere || m.isQUIC() {
			first = i
		}
		all = append(all, m)
	}
	if first < 0 || all[first].isQUIC() && flags&unix.MSG_FASTOPEN == 0 && n.isStream(c) { // as in sendto
		return goesOn, nil
	}
	// What leads from one socket is of one kind: TCP (TCP_FASTOPEN) has one destination, and
	// of UDP only questions are led.
	return n.reach(c, all[first].destination, func(at netip.AddrPort) (verdict, func() verdict) {
		for i := range all {
			if all[i].route != routeDNS {
				all[i].at = at
			}
		}
		if n.way == Rewrite {
			for _, m := range all {
				if m.route == routeOn {
					continue
				}
				if v := n.rewrite(c, m.name, int(m.nameSize), m.family, m.at); !v.goOn {
					return v, nil
				}
			}
			return goesOn, nil
		}
		return n.send(c, flags, func(dup int) verdict { return n.sendAll(c, dup, all, flags) })
	})
}

// outgoing reads a message's header and says where it leads.
func (n *Network) outgoing(tid int, at uint64, flags int) (m outgoing, err error) {
	if m.header, err = readHeader(tid, at); err != nil || m.name == 0 {
		return m, err
	}
	if m.address, err = readAddress(tid, m.name, int(m.nameSize)); err != nil {
		return m, err
	}
	d := n.lookup(m.to)
	if d.isOfDatagrams() || d.isQUIC() || flags&unix.MSG_FASTOPEN != 0 {
		m.destination = d
	}
	return m, nil
}

// sendAll sends messages on a copy of the program's socket. Their control data, such as
// which interface they leave by, is not for where they go.
func (n *Network) sendAll(c *call, dup int, all []outgoing, flags int) verdict {
	tid, done := int(c.Thread), int64(0)
	for _, m := range all {
		data, err := m.data(tid)
		if err != nil {
			return fails(unix.EFAULT)
		}
		var name []byte
		switch {
		case m.route != routeOn:
			name = formatAddress(m.family, m.at)
			n.remember(dup, m.at)
		case m.name != 0:
			name = make([]byte, min(m.nameSize, maxAddress))
			if readMemory(tid, m.name, name) != nil {
				return fails(unix.EFAULT)
			}
		}
		sent, errno := sendRaw(dup, data, flags, name)
		switch {
		case errno != 0 && done == 0:
			return fails(errno)
		case errno != 0:
			return verdict{value: done}
		case c.Number == unix.SYS_SENDMSG:
			return verdict{value: int64(sent)}
		}
		if writeMemory(tid, m.start+headerSize, binary.LittleEndian.AppendUint32(nil, uint32(sent))) != nil {
			return fails(unix.EFAULT)
		}
		done++
	}
	return verdict{value: done}
}

package dataplane

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// passedPacket is one that another data plane has read: who sent it, what the kernel said beside it, and its bytes.
type passedPacket struct {
	from         netip.AddrPort
	beside, data []byte
}

// maxPassedBytes bounds a message with a packet: the library's are at most 1,452 bytes.
const maxPassedBytes = 4096

// leftMessage says that a data plane has left.
var leftMessage = []byte{0}

// encodePacket makes a message of what was read: address, what was beside it, bytes, each but the last after its length.
func encodePacket(message *ipv4.Message) []byte {
	sender, isUDP := message.Addr.(*net.UDPAddr)
	if !isUDP {
		return nil
	}
	from, err := sender.AddrPort().MarshalBinary()
	if err != nil {
		return nil
	}
	encoded := make([]byte, 0, maxPassedBytes)
	encoded = append(append(encoded, byte(len(from))), from...)
	encoded = append(binary.BigEndian.AppendUint16(encoded, uint16(message.NN)), message.OOB[:message.NN]...)
	return append(encoded, message.Buffers[0][:message.N]...)
}

func decodePacket(message []byte) (packet passedPacket, ok bool) {
	if len(message) < 1 || len(message) < 1+int(message[0])+2 {
		return packet, false
	}
	from, rest := message[1:1+int(message[0])], message[1+int(message[0]):]
	n := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; len(rest) < n || packet.from.UnmarshalBinary(from) != nil {
		return packet, false
	}
	both := append([]byte(nil), rest...) // the message's memory is used again
	packet.beside, packet.data = both[:n], both[n:]
	return packet, packet.from.IsValid()
}

// fill puts the packet where it would have been read to.
func (p passedPacket) fill(message *ipv4.Message) {
	message.N, message.NN = copy(message.Buffers[0], p.data), copy(message.OOB, p.beside)
	message.Addr = net.UDPAddrFromAddrPort(p.from)
}

// send sends a message that need not arrive, without waiting.
func send(conn *net.UnixConn, message []byte) {
	raw, err := conn.SyscallConn()
	if err != nil || len(message) == 0 {
		return
	}
	_ = raw.Write(func(fd uintptr) bool {
		_ = unix.Sendto(int(fd), message, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		return true
	})
}

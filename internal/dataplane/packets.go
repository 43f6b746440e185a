package dataplane

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// packets is the UDP socket of HTTP/3, which data planes share while one follows the other. The kernel does not know QUIC's connections,
// so one of them reads all packets. Which one a packet is for its connection id tells, which begins with the tag of the data
// plane that has made it.
//
// As long as an earlier data plane has not left, it is the one that reads. From then on the last one does, and passes on to each
// earlier one what belongs to it, over a socket that was made when the listeners were handed over.
type packets struct {
	*net.UDPConn
	batch *ipv4.PacketConn
	tag   string
	// passed are the packets that a later data plane has read for this one.
	passed chan passedPacket

	mu sync.Mutex // guards the members below
	// earlier are the data planes before this one, by their tags; active says which of them have not left.
	earlier map[string]*net.UnixConn
	active  map[string]bool
	// later are those after this one.
	later     map[*net.UnixConn]bool
	isLeaving bool
	isClosed  bool
	// isExpired says that a read deadline was set, which is how the library ends reading.
	isExpired bool
	changed   chan struct{} // closed when reading may have another source
	waiting   sync.WaitGroup
}

const (
	// tagBytes begin each connection id, whose length is idBytes.
	tagBytes = 4
	idBytes  = 12
	// maxPassed bounds the packets that wait for their turn; a client sends again what is lost.
	maxPassed = 256
)

// newPackets shares a socket with the earlier data planes.
func newPackets(conn *net.UDPConn, earlier map[string]*net.UnixConn) *packets {
	tag := make([]byte, tagBytes)
	rand.Read(tag) // never fails (crypto/rand)
	p := &packets{
		UDPConn: conn, batch: ipv4.NewPacketConn(conn), tag: string(tag), passed: make(chan passedPacket, maxPassed),
		earlier: maps.Clone(earlier), active: map[string]bool{}, later: map[*net.UnixConn]bool{}, changed: make(chan struct{}),
	}
	for tag := range earlier {
		p.active[tag] = true
	}
	for tag, each := range earlier {
		p.waiting.Go(func() { p.awaitLeft(tag, each) })
	}
	return p
}

// ConnectionIDLen and GenerateConnectionID make it a quic.ConnectionIDGenerator.
func (p *packets) ConnectionIDLen() int { return idBytes }

func (p *packets) GenerateConnectionID() (quic.ConnectionID, error) {
	id := make([]byte, idBytes)
	rand.Read(id[copy(id, p.tag):]) // never fails (crypto/rand)
	return quic.ConnectionIDFromBytes(id), nil
}

// ReadBatch is what the library reads by.
func (p *packets) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	for {
		p.mu.Lock()
		isExpired, changed := p.isExpired, p.changed
		reads := len(p.active) == 0 && !(p.isLeaving && len(p.later) > 0)
		if reads && !isExpired {
			_ = p.UDPConn.SetReadDeadline(time.Time{}) // fails only when it is closed, and then reading does too
		}
		p.mu.Unlock()
		switch {
		case isExpired:
			return 0, os.ErrDeadlineExceeded
		case reads:
			n, err := p.batch.ReadBatch(messages, flags)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue // something has changed
			}
			if n = p.passOn(messages[:max(n, 0)]); n > 0 || err != nil {
				return n, err
			}
		default:
			select {
			case packet := <-p.passed:
				packet.fill(&messages[0])
				return 1, nil
			case <-changed:
			}
		}
	}
}

// SetReadDeadline ends reading, or lets it begin again with no deadline; there is nothing in between.
func (p *packets) SetReadDeadline(deadline time.Time) error {
	p.change(func() { p.isExpired = !deadline.IsZero() })
	return nil
}

// change changes what ReadBatch reads from.
func (p *packets) change(edit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit()
	close(p.changed)
	p.changed = make(chan struct{})
	_ = p.UDPConn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, which ends a read as well
}

// passOn sends the packets of earlier data planes there, and returns how many are left, at the beginning.
func (p *packets) passOn(messages []ipv4.Message) (left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.earlier) == 0 {
		return len(messages)
	}
	for i := range messages {
		message := &messages[i]
		if to := p.earlier[tagOf(message.Buffers[0][:message.N])]; to != nil {
			send(to, encodePacket(message))
			continue
		}
		if left < i { // the library knows a packet's buffer by its place
			kept := &messages[left]
			kept.N, kept.NN, kept.Addr, kept.Flags = copy(kept.Buffers[0], message.Buffers[0][:message.N]), copy(kept.OOB, message.OOB[:message.NN]), message.Addr, message.Flags
		}
		left++
	}
	return left
}

// tagOf is how the connection id begins that a packet is sent to (RFC 8999, 5).
func tagOf(packet []byte) string {
	switch {
	case len(packet) > idBytes && packet[0]&0x80 == 0:
		return string(packet[1 : 1+tagBytes])
	case len(packet) > 6+idBytes && packet[0]&0x80 != 0 && packet[5] == idBytes:
		return string(packet[6 : 6+tagBytes])
	}
	return ""
}

// pair makes the socket by which a later data plane passes packets on, and returns its end.
func (p *packets) pair() (*os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	own, theirs := os.NewFile(uintptr(ends[0]), "packets"), os.NewFile(uintptr(ends[1]), "packets")
	defer own.Close()
	conn, err := packetConn(own)
	if err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	isClosed := false
	p.change(func() {
		if isClosed = p.isClosed; isClosed {
			return
		}
		p.later[conn] = true
		if p.isLeaving {
			send(conn, leftMessage)
		}
		p.waiting.Go(func() { p.take(conn) })
	})
	if isClosed {
		return nil, errors.Join(net.ErrClosed, conn.Close(), theirs.Close())
	}
	return theirs, nil
}

// packetConn makes a connection of a descriptor, which stays the file's too.
func packetConn(file *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	packets, isUnix := conn.(*net.UnixConn)
	if !isUnix {
		return nil, errors.Join(errors.New("packets come by a Unix socket"), conn.Close())
	}
	return packets, nil
}

// leave lets the later data plane read, and reads what it passes on; without one, nothing changes.
func (p *packets) leave() {
	p.change(func() {
		p.isLeaving = true
		for conn := range p.later {
			send(conn, leftMessage)
		}
	})
}

// take reads what a later data plane passes on, until that one ends.
func (p *packets) take(conn *net.UnixConn) {
	defer conn.Close()
	buffer := make([]byte, maxPassedBytes)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			p.change(func() { delete(p.later, conn) })
			return
		}
		if packet, ok := decodePacket(buffer[:n]); ok {
			select {
			case p.passed <- packet:
			default:
			}
		}
	}
}

// awaitLeft waits until an earlier data plane has left, which is its one message, and then until it ends.
func (p *packets) awaitLeft(tag string, conn *net.UnixConn) {
	defer conn.Close()
	var message [1]byte
	_, err := conn.Read(message[:])
	p.change(func() { delete(p.active, tag) })
	for err == nil {
		_, err = conn.Read(message[:])
	}
	p.change(func() { delete(p.earlier, tag) })
}

// Close closes the socket and those to the other data planes.
func (p *packets) Close() error {
	err := p.UDPConn.Close()
	p.mu.Lock()
	p.isClosed = true // no more is waited for
	for _, conn := range p.earlier {
		err = errors.Join(err, ignoreClosed(conn.Close()))
	}
	for conn := range p.later {
		err = errors.Join(err, ignoreClosed(conn.Close()))
	}
	p.mu.Unlock()
	p.waiting.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// packetsMark is in the name of a socket by which packets are passed on to the data plane whose tag follows.
const packetsMark = " packets "

// name is how the socket of pair is called.
func (p *packets) name(at place) string {
	return at.name() + packetsMark + hex.EncodeToString([]byte(p.tag))
}

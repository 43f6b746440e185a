// Package dnstest is a small DNS server on loopback for tests: it knows the CNAME records that a test gives it.
package dnstest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers over UDP and TCP.
type Server struct {
	// Addr is its host:port.
	Addr string

	mu      sync.Mutex // guards what follows
	records map[string]string
	// truncated answers over UDP say only that the answer does not fit.
	truncated bool
	// code is answered instead of records when it is not RCodeSuccess.
	code dnsmessage.RCode
	// isSilent gives no answer at all, isForged one with another id before the right one.
	isSilent, isForged bool
	asked              map[string]int
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	packets, listener := listen(t)
	s := &Server{Addr: packets.LocalAddr().String(), records: map[string]string{}, asked: map[string]int{}}
	var serving sync.WaitGroup
	serving.Go(func() { s.servePackets(packets) })
	serving.Go(func() { s.serveConns(listener) })
	t.Cleanup(func() {
		packets.Close()
		listener.Close()
		serving.Wait()
	})
	return s
}

// listen finds a port that is free for both.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		last = errors.Join(err, packets.Close())
	}
	t.Fatal(last)
	return nil, nil
}

// Set makes name another name for target; both end with a dot.
func (s *Server) Set(name, target string) {
	s.Change(func() { s.records[strings.ToLower(name)] = target })
}

// Truncate makes every answer too long for a datagram.
func (s *Server) Truncate() { s.Change(func() { s.truncated = true }) }

// Fail makes the server answer every question with a code.
func (s *Server) Fail(code dnsmessage.RCode) { s.Change(func() { s.code = code }) }

// BeSilent makes the server answer nothing, or again.
func (s *Server) BeSilent(isSilent bool) { s.Change(func() { s.isSilent = isSilent }) }

// Forge makes each answer come after one with another id that holds another target.
func (s *Server) Forge() { s.Change(func() { s.isForged = true }) }

// Asked says how often the server was asked for name.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[strings.ToLower(name)]
}

// Change runs a change of what the server answers.
func (s *Server) Change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *Server) servePackets(packets net.PacketConn) {
	buffer := make([]byte, 512)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		for _, answer := range s.answers(buffer[:n], true) {
			packets.WriteTo(answer, from)
		}
	}
}

func (s *Server) serveConns(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err == nil {
			query := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, query); err == nil {
				for _, answer := range s.answers(query, false) {
					conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
				}
			}
		}
		conn.Close()
	}
}

// answers are the messages that are sent for a query.
func (s *Server) answers(query []byte, isDatagram bool) [][]byte {
	var message dnsmessage.Message
	if message.Unpack(query) != nil || len(message.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	question := message.Questions[0]
	name := strings.ToLower(question.Name.String())
	s.asked[name]++
	if s.isSilent {
		return nil
	}
	message.Response, message.RCode = true, s.code
	target, isKnown := s.records[name]
	switch {
	case s.code != dnsmessage.RCodeSuccess:
	case !isKnown:
		message.RCode = dnsmessage.RCodeNameError
	case isDatagram && s.truncated:
		message.Truncated = true
	case question.Type == dnsmessage.TypeCNAME:
		message.Answers = answer(question, target)
	}
	var sent [][]byte
	if s.isForged {
		forged := message
		forged.ID++
		forged.Answers = answer(question, "forged.test.")
		sent = append(sent, pack(forged))
	}
	return append(sent, pack(message))
}

func answer(question dnsmessage.Question, target string) []dnsmessage.Resource {
	return []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: 1},
		Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target)},
	}}
}

func pack(message dnsmessage.Message) []byte {
	packed, err := message.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

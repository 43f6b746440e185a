package certs

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// tryTimeout bounds one question to one server.
	tryTimeout = 2 * time.Second
	// rounds is how often each server is asked before there is no answer: a datagram may be lost.
	rounds = 2
	// maxServers is how many servers of the machine's are asked (resolv.conf(5)).
	maxServers = 3
	// maxDatagram leaves room for servers that send more than the 512 bytes of RFC 1035, 4.2.1.
	maxDatagram = 4096
	// resolverFile names the machine's servers.
	resolverFile = "/etc/resolv.conf"
)

// DNS asks for records over the wire. The standard library's resolver will not do: it asks for addresses, and the targets
// of validation records have none.
type DNS struct {
	// Server is the host:port that is asked; empty means the machine's own servers, read at each use.
	Server string
}

// CNAME returns what name, which ends with a dot, is another name for; empty when there is no such record. An error says
// that no server has answered.
func (d DNS) CNAME(ctx context.Context, name string) (string, error) {
	encoded, err := dnsmessage.NewName(name)
	if err != nil {
		return "", fmt.Errorf("ask DNS for %q: %w", name, err)
	}
	question := dnsmessage.Question{Name: encoded, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET}
	var last error
	for range rounds {
		for _, server := range d.servers() {
			target, err := ask(ctx, server, question)
			if err == nil {
				return target, nil
			}
			last = fmt.Errorf("ask %s for %s: %w", server, name, err)
			if ctx.Err() != nil {
				return "", last
			}
		}
	}
	return "", last
}

func (d DNS) servers() []string {
	if d.Server != "" {
		return []string{d.Server}
	}
	file, err := os.Open(resolverFile)
	if err != nil {
		return []string{"127.0.0.1:53"} // where resolv.conf(5) says that one is then
	}
	defer file.Close()
	if servers := readServers(file); len(servers) > 0 {
		return servers
	}
	return []string{"127.0.0.1:53"}
}

// readServers reads the servers of a file of the form of resolv.conf.
func readServers(file io.Reader) []string {
	var servers []string
	for lines := bufio.NewScanner(file); lines.Scan() && len(servers) < maxServers; {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "nameserver" {
			servers = append(servers, net.JoinHostPort(fields[1], "53"))
		}
	}
	return servers
}

// ask asks one server, by a datagram and, when the answer does not fit into one, by a connection.
func ask(ctx context.Context, server string, question dnsmessage.Question) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	answer, err := exchange(ctx, "udp", server, question)
	if err == nil && answer.Truncated {
		answer, err = exchange(ctx, "tcp", server, question)
	}
	if err != nil {
		return "", err
	}
	switch answer.RCode {
	case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
	default:
		return "", fmt.Errorf("the server answers %s", strings.TrimPrefix(answer.RCode.String(), "RCode"))
	}
	for _, record := range answer.Answers {
		if alias, ok := record.Body.(*dnsmessage.CNAMEResource); ok && isSameName(record.Header.Name, question.Name) {
			return alias.CNAME.String(), nil
		}
	}
	return "", nil
}

// exchange sends one question and returns the answer to it. Datagrams that are no answer to it are passed over.
func exchange(ctx context.Context, network, server string, question dnsmessage.Question) (answer dnsmessage.Message, err error) {
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{question},
	}
	packed, err := query.Pack()
	if err != nil {
		return answer, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return answer, err
	}
	for {
		received, err := receive(conn, network)
		if err != nil {
			return answer, err
		}
		isOurs := answer.Unpack(received) == nil && answer.Response && answer.ID == query.ID && len(answer.Questions) == 1 &&
			answer.Questions[0].Type == question.Type && isSameName(answer.Questions[0].Name, question.Name)
		switch {
		case isOurs:
			return answer, nil
		case network == "tcp":
			return answer, errors.New("the answer is to another question")
		}
	}
}

// receive reads one message.
func receive(conn net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		buffer := make([]byte, maxDatagram)
		n, err := conn.Read(buffer)
		return buffer[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buffer := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, buffer)
	return buffer, err
}

func isSameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

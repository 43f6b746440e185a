package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

const (
	// idleConns are opened, or as many as the limit of open files leaves room for.
	idleConns = 10_000
	// unlimited is a concurrency limit that no measurement reaches.
	unlimited = 100_000
	// settleFor is how long memory has to come to rest.
	settleFor = 3 * time.Second
)

// upgrade asks for a WebSocket.
var upgrade = strings.Replace(string(request(host)), "\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 1)

// perIdle is how much resident memory of the proxy each of conns connections takes that has had one answer.
func (p *proxy) perIdle(conns int, request string) (bytes float64, err error) {
	time.Sleep(settleFor)
	before, err := p.memory("VmRSS")
	if err != nil {
		return 0, err
	}
	for range conns {
		conn, err := net.Dial("tcp", p.address.String())
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if err := exchange(conn, request); err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	time.Sleep(settleFor)
	after, err := p.memory("VmRSS")
	return float64(after-before) / float64(conns), err
}

// exchange sends a request, and reads the head of its answer and what has come with that.
func exchange(conn net.Conn, request string) error {
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, 1024)
	status, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(status, " 200 ") && !strings.Contains(status, " 101 ") {
		return fmt.Errorf("the answer is %q", strings.TrimSpace(status))
	}
	for line := status; line != "\r\n"; {
		if line, err = reader.ReadString('\n'); err != nil {
			return err
		}
	}
	return nil
}

// fits is how many connections there may be when each takes so many descriptors of a process.
func fits(descriptors int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1000
	}
	const others = 200
	return min(idleConns, (int(limit.Max)-others)/descriptors)
}

// measureIdle starts each proxy anew for each measurement, and returns the columns by the proxies' names.
func (b *bench) measureIdle() error {
	for _, of := range []struct {
		column, request string
		descriptors     int
		into            func(*result) *float64
	}{
		{"keep-alive", string(request(host)), 1, func(r *result) *float64 { return &r.perIdle }},
		{"WebSocket", upgrade, 2, func(r *result) *float64 { return &r.perTunnel }},
	} {
		conns := fits(of.descriptors)
		b.note("memory of %d idle %s connections", conns, of.column)
		for _, each := range b.kinds {
			err := b.with(each, unlimited, func(p *proxy) (err error) {
				*of.into(b.results[each.name]), err = p.perIdle(conns, of.request)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

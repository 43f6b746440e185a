package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// bodyBytes is how long the large body is.
const bodyBytes = 1 << 30

// transfer is what one large body took.
type transfer struct {
	took, cpu time.Duration
	// peak is the most resident memory that the proxy had meanwhile.
	peak int
}

// transfer measures a large body: down to the client, or up to the app.
func (p *proxy) transfer(isUp bool) (t transfer, err error) {
	if err := p.forgetPeak(); err != nil {
		return t, err
	}
	before, err := p.cpu()
	if err != nil {
		return t, err
	}
	begun := time.Now()
	if isUp {
		err = up(p.address.String())
	} else {
		err = down(p.address.String())
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w; it says:\n%s", p.name, err, p.tail())
	}
	t.took = time.Since(begun)
	after, err := p.cpu()
	if err != nil {
		return t, err
	}
	t.cpu = after - before
	t.peak, err = p.memory("VmHWM")
	return t, err
}

func down(address string) error {
	conn, reader, err := ask(address, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n", bodyBytes, host))
	if err != nil {
		return err
	}
	defer conn.Close()
	return wantBody(reader, func(body io.Reader) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 256<<10))
		if err == nil && n != bodyBytes {
			err = fmt.Errorf("%d bytes came", n)
		}
		return err
	})
}

func up(address string) error {
	conn, reader, err := ask(address, fmt.Sprintf("PUT / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, bodyBytes))
	if err != nil {
		return err
	}
	defer conn.Close()
	for buffer, left := make([]byte, 256<<10), bodyBytes; left > 0; left -= len(buffer) {
		if _, err := conn.Write(buffer); err != nil {
			return err
		}
	}
	return wantBody(reader, func(body io.Reader) error {
		answer, err := io.ReadAll(body)
		if err == nil && string(answer) != fmt.Sprint(bodyBytes) {
			err = fmt.Errorf("the app says that %q bytes came", answer)
		}
		return err
	})
}

func ask(address, head string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_, err = conn.Write([]byte(head))
	return conn, bufio.NewReaderSize(conn, 64<<10), err
}

func wantBody(reader *bufio.Reader, read func(io.Reader) error) error {
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return read(response.Body)
}

// measureBodies has each proxy carry a large body both ways, in every round.
func (b *bench) measureBodies() error {
	for round := range b.rounds {
		for _, each := range b.turn(round) {
			b.note("round %d: 1 GB through %s", round+1, each.name)
			err := b.withOrigins(each, []string{b.origin.Bodies}, unlimited, func(p *proxy) error {
				downward, err := p.transfer(false)
				if err != nil {
					return err
				}
				upward, err := p.transfer(true)
				into := b.results[each.name]
				into.down, into.up = append(into.down, downward), append(into.up, upward)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Package websocket is as much of RFC 6455 as tests need that look at each frame: it makes and reads them, also malformed ones.
package websocket

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// The first bytes of frames that are whole messages, or the end of one (RFC 6455, 5.2).
const (
	Continued = 0x80
	Text      = 0x80 | 0x1
	Binary    = 0x80 | 0x2
	Close     = 0x80 | 0x8
	Ping      = 0x80 | 0x9
	Pong      = 0x80 | 0xa
	// Fin is left out of frames whose message goes on.
	Fin = 0x80
)

// GoingAway is what a frame holds that closes a WebSocket because one side goes away (1001).
var GoingAway = []byte{1001 >> 8, 1001 & 0xff}

// Frame is a frame as it is on the wire; a client's is masked.
func Frame(first byte, payload []byte, isMasked bool) []byte {
	made := []byte{first}
	switch n := len(payload); {
	case n < 126:
		made = append(made, byte(n))
	case n < 1<<16:
		made = binary.BigEndian.AppendUint16(append(made, 126), uint16(n))
	default:
		made = binary.BigEndian.AppendUint64(append(made, 127), uint64(n))
	}
	if !isMasked {
		return append(made, payload...)
	}
	made[1] |= 0x80
	mask := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	made = append(made, mask...)
	for i, b := range payload {
		made = append(made, b^mask[i%4])
	}
	return made
}

// ReadFrame reads one frame and unmasks it.
func ReadFrame(reader io.Reader) (first byte, payload []byte, isMasked bool, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(reader, head); err != nil {
		return 0, nil, false, err
	}
	length, isMasked := uint64(head[1]&0x7f), head[1]&0x80 != 0
	if extra := map[uint64]int{126: 2, 127: 8}[length]; extra > 0 {
		more := make([]byte, 8)
		if _, err := io.ReadFull(reader, more[8-extra:]); err != nil {
			return 0, nil, false, err
		}
		length = binary.BigEndian.Uint64(more)
	}
	mask := make([]byte, 4)
	if isMasked {
		if _, err := io.ReadFull(reader, mask); err != nil {
			return 0, nil, false, err
		}
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(reader, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, isMasked, err
}

// key is the example of RFC 6455, 1.3.
const key = "dGhlIHNhbXBsZSBub25jZQ=="

// Handshake is a client's request for a WebSocket.
func Handshake(host, path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
}

// Answer is a server's answer to a handshake with the key.
func Answer(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
}

// Open opens a WebSocket over a connection. What is to be sent with the handshake goes behind it.
func Open(conn net.Conn, host, path, behind string) (*bufio.Reader, error) {
	if _, err := io.WriteString(conn, Handshake(host, path)+behind); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return nil, fmt.Errorf("the handshake is answered %s", response.Status)
	}
	return reader, nil
}

// SendBack sends each message back, answers pings, and closes the WebSocket when the client does. It returns then, or when the
// connection breaks.
func SendBack(conn net.Conn, reader *bufio.Reader) {
	for {
		first, payload, _, err := ReadFrame(reader)
		if err != nil {
			return
		}
		if first == Ping {
			first = Pong
		}
		if _, err := conn.Write(Frame(first, payload, false)); err != nil || first == Close {
			return
		}
	}
}

// Handler is an app's that sends each message back.
func Handler(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, Answer(r.Header.Get("Sec-WebSocket-Key"))); err == nil {
		SendBack(conn, buffered.Reader)
	}
}

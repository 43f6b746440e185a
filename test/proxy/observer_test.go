package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// observer is an app that writes down each request that reaches it, and answers with its target. It is stricter than any
// server: what it does not call malformed is read alike by all of them.
type observer struct {
	platform.Endpoint
	mu   sync.Mutex // guards seen
	seen []string
}

func observe(t testing.TB) *observer {
	o := &observer{}
	o.Endpoint = wired(t, func(conn net.Conn) {
		for reader := bufio.NewReader(conn); ; {
			request, target, err := readStrictly(reader, conn)
			if errors.Is(err, io.EOF) {
				return // a request that was cut off is none
			}
			o.mu.Lock()
			o.seen = append(o.seen, request)
			o.mu.Unlock()
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(target))
			if !strings.HasPrefix(request, "HEAD ") {
				io.WriteString(conn, target)
			}
		}
	})
	return o
}

// take returns what has been seen since the last time, and forgets it.
func (o *observer) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}

var (
	strictRequestLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\\x00-\\x20\\x7f]+) HTTP/1\\.1\r\n$")
	strictField       = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?((?:[^\\x00-\\x20\\x7f](?:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?)?)\r\n$")
	strictChunkSize   = regexp.MustCompile("^([0-9A-Fa-f]{1,8})\r\n$")
)

// readStrictly reads one request and returns it as "METHOD target body", trailers behind the body. The error is io.EOF when
// there is no whole one, and any other when it is not what every server would make of it; then request tells why.
// A client that asks is told to continue.
func readStrictly(reader *bufio.Reader, conn io.Writer) (request, target string, err error) {
	malformed := func(what, line string) (string, string, error) {
		if err != nil {
			return "", "", io.EOF
		}
		return fmt.Sprintf("malformed %s %q", what, line), "", io.ErrUnexpectedEOF
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", "", io.EOF
	}
	begin := strictRequestLine.FindStringSubmatch(line)
	if begin == nil {
		return malformed("request line", line)
	}
	request, target = begin[1]+" "+begin[2], begin[2]
	fields, bad, err := readFields(reader)
	if bad != "" || err != nil {
		return malformed("header", bad)
	}
	if len(fields["expect"]) > 0 {
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	lengths, codings := fields["content-length"], fields["transfer-encoding"]
	switch {
	case len(fields["host"]) != 1:
		return malformed("hosts", strings.Join(fields["host"], " and "))
	case len(lengths)+len(codings) > 1:
		return malformed("framing", fmt.Sprint(lengths, codings))
	case len(lengths) == 1:
		length, err := strconv.ParseUint(lengths[0], 10, 24)
		if err != nil || lengths[0] != strconv.FormatUint(length, 10) {
			return malformed("length", lengths[0])
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(reader, body); err != nil {
			return "", "", io.EOF
		}
		return strings.TrimSuffix(request+" "+string(body), " "), target, nil
	case len(codings) == 1:
		if codings[0] != "chunked" {
			return malformed("coding", codings[0])
		}
		var body string
		if body, bad, err = readChunks(reader); bad != "" || err != nil {
			return malformed("chunks", bad)
		}
		return strings.TrimSuffix(request+" "+body, " "), target, nil
	}
	return request, target, nil
}

// readFields reads headers up to the empty line, by their names in lower case. bad is the line that is none.
func readFields(reader *bufio.Reader) (fields map[string][]string, bad string, err error) {
	fields = map[string][]string{}
	for {
		line, err := reader.ReadString('\n')
		if line == "\r\n" || err != nil {
			return fields, "", err
		}
		field := strictField.FindStringSubmatch(line)
		if field == nil {
			return nil, line, nil
		}
		// Servers that hand headers on as variables cannot tell these from those with a hyphen.
		name := strings.ReplaceAll(strings.ToLower(field[1]), "_", "-")
		fields[name] = append(fields[name], field[2])
	}
}

// readChunks reads a body in chunks. Trailers are told behind it.
func readChunks(reader *bufio.Reader) (body, bad string, err error) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		size := strictChunkSize.FindStringSubmatch(line)
		if size == nil {
			return "", line, nil
		}
		length, _ := strconv.ParseUint(size[1], 16, 24)
		if length == 0 {
			break
		}
		chunk := make([]byte, length+2)
		if _, err := io.ReadFull(reader, chunk); err != nil {
			return "", "", err
		}
		if string(chunk[length:]) != "\r\n" {
			return "", string(chunk), nil
		}
		body += string(chunk[:length])
	}
	trailers, bad, err := readFields(reader)
	for name, values := range trailers {
		body += fmt.Sprintf(" %s=%s", name, strings.Join(values, ","))
	}
	return body, bad, err
}

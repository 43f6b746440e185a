package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/proxy"
)

// probe follows each case on its connection, so that whatever the proxy leaves of a case would spoil it.
const probe = "GET /probe HTTP/1.1\r\nHost: " + host + "\r\n\r\n"

// TestSmugglingIsRefused sends each case of the catalogue and looks what reaches the app, and what the client is told.
func TestSmugglingIsRefused(t *testing.T) {
	onEachRoad(t, proxy.Config{HoldTimeout: time.Second}, func(t *testing.T, p *running) {
		for _, each := range slices.Concat(framing, chunking, lines, names, targets, connections) {
			got := p.attack(t, each.send)
			if !slices.Contains(strings.Split(each.want, " or "), got) {
				t.Errorf("%s: %s\n\twant %s\n\tsent %.300q", each.name, got, each.want, each.send)
			}
		}
	})
}

// attack sends text and the probe, and says what came of it: each request that reached the app, then each answer but 200 by its
// status, then whether the connection is closed. Such an answer at the end of a connection that says that it was the client's
// fault is "refused".
func (p *running) attack(t *testing.T, text string) string {
	app := observe(t)
	p.serve(app.Endpoint)
	conn := p.dial(t)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	go io.WriteString(conn, text+probe)
	method, _, _ := strings.Cut(text, " ")
	var told []string
	for reader := bufio.NewReader(conn); ; {
		response, body, err := readAnswer(reader, method)
		if err != nil {
			return strings.Join(append(app.take(), ended(told, err)...), " | ")
		}
		if body == "/probe" {
			break // all is well
		}
		if response.StatusCode != http.StatusOK {
			told = append(told, strconv.Itoa(response.StatusCode))
		}
		method = ""
	}
	seen := app.take()
	return strings.Join(append(seen[:max(0, len(seen)-1)], told...), " | ")
}

// ended is what was told of a connection that has ended.
func ended(told []string, err error) []string {
	faults := []string{"400", "405", "411", "413", "414", "417", "421", "431", "501", "505"}
	switch last := len(told) - 1; {
	case errors.Is(err, syscall.ECONNRESET):
		return append(told, refused) // net/http closes on the probe that is unread, and the answer may go with that
	case !errors.Is(err, io.EOF):
		return append(told, err.Error())
	case last >= 0 && slices.Contains(faults, told[last]):
		return append(told[:last], refused)
	default:
		return append(told, "closed")
	}
}

// readAnswer reads the answer to a request of the method, with its body; interim ones are passed over.
func readAnswer(reader *bufio.Reader, method string) (*http.Response, string, error) {
	for {
		if _, err := reader.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, "", io.EOF // a reset is an end too
		}
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return nil, "", fmt.Errorf("an answer that is none: %w", err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		if response.StatusCode >= 200 || err != nil {
			return response, body.String(), err
		}
	}
}

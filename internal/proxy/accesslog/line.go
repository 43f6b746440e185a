package accesslog

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/apron-run/apron/internal/proxy/trace"
)

// Bounds of what clients can make long in a line of the access log.
const (
	maxLoggedMethod  = 32
	maxLoggedHost    = 255
	maxLoggedPath    = 2048
	maxLoggedAgent   = 512
	maxLoggedProblem = 1024
)

// lineClock writes times. It keeps what the second before had in common.
type lineClock struct {
	second int64
	text   [len(lineSecond)]byte
}

const lineSecond = "2006-01-02T15:04:05"

func (c *lineClock) append(dst []byte, at time.Time) []byte {
	if second := at.Unix(); second != c.second {
		c.second = second
		at.UTC().AppendFormat(c.text[:0], lineSecond)
	}
	dst = append(dst, c.text[:]...)
	dst = append(dst, '.')
	return append(appendPadded(dst, at.Nanosecond()/1000, 6), 'Z')
}

// appendLine appends the record as a line of JSON. The service's id comes right after the time, where readers look for it. Of the
// request's target there is the path alone: queries have passwords and keys in them often enough.
func appendLine(dst []byte, record *Record, clock *lineClock) []byte {
	dst = append(dst, `{"time":"`...)
	dst = clock.append(dst, record.StartedAt)
	dst = appendText(dst, `","service_id":"`, string(record.ServiceID), maxLoggedHost)
	dst = appendText(dst, `","service":"`, record.ServiceName, maxLoggedHost)
	dst = appendText(dst, `","revision":"`, string(record.RevisionID), maxLoggedHost)
	dst = appendText(dst, `","instance":"`, string(record.InstanceID), maxLoggedHost)
	dst = append(dst, `","client":"`...)
	if record.Client.IsValid() {
		dst = record.Client.AppendTo(dst)
	}
	path, _, _ := strings.Cut(record.URI, "?")
	dst = appendText(dst, `","method":"`, record.Method, maxLoggedMethod)
	dst = appendText(dst, `","host":"`, record.Host, maxLoggedHost)
	dst = appendText(dst, `","path":"`, path, maxLoggedPath)
	dst = appendText(dst, `","protocol":"`, record.Protocol, maxLoggedMethod)
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(record.Status), 10)
	dst = append(dst, `,"request_bytes":`...)
	dst = strconv.AppendInt(dst, record.RequestBytes, 10)
	dst = append(dst, `,"response_bytes":`...)
	dst = strconv.AppendInt(dst, record.ResponseBytes, 10)
	dst = appendMilliseconds(append(dst, `,"duration_ms":`...), record.Duration)
	dst = appendMilliseconds(append(dst, `,"queue_ms":`...), record.QueueTime)
	dst = appendMilliseconds(append(dst, `,"upstream_ms":`...), record.UpstreamTime)
	dst = append(dst, `,"attempts":`...)
	dst = strconv.AppendInt(dst, int64(record.Attempts), 10)
	dst = append(dst, `,"trace_id":"`...)
	if record.TraceID != (trace.ID{}) {
		dst = hex.AppendEncode(dst, record.TraceID[:])
	}
	dst = appendText(dst, `","user_agent":"`, record.Agent, maxLoggedAgent)
	if record.Problem != "" {
		dst = appendText(dst, `","problem":"`, record.Problem, maxLoggedProblem)
	}
	return append(dst, '"', '}', '\n')
}

// appendText appends what comes before a text, and the text as it stands within quotes.
func appendText(dst []byte, before, text string, most int) []byte {
	dst = append(dst, before...)
	if len(text) > most {
		text = text[:most]
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendEscaped(dst, text)
		}
	}
	return append(dst, text...)
}

// appendEscaped leaves nothing in a text that would end the line or that a terminal obeys.
func appendEscaped(dst []byte, text string) []byte {
	for len(text) > 0 {
		char, size := utf8.DecodeRuneInString(text)
		switch {
		case char == '"', char == '\\':
			dst = append(dst, '\\', byte(char))
		case char == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case unicode.IsPrint(char):
			dst = append(dst, text[:size]...)
		case char > 0xffff:
			char -= 0x10000
			dst = appendUnit(appendUnit(dst, 0xd800+char>>10), 0xdc00+char&0x3ff)
		default:
			dst = appendUnit(dst, char)
		}
		text = text[size:]
	}
	return dst
}

// appendUnit appends a unit of UTF-16.
func appendUnit(dst []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}

func appendMilliseconds(dst []byte, d time.Duration) []byte {
	micros := max(d.Microseconds(), 0)
	dst = strconv.AppendInt(dst, micros/1000, 10)
	return appendPadded(append(dst, '.'), int(micros%1000), 3)
}

// appendPadded appends a number with zeros before it.
func appendPadded(dst []byte, number, width int) []byte {
	start := len(dst)
	dst = append(dst, "000000"[:width]...)
	for i := start + width - 1; i >= start && number > 0; i-- {
		dst[i], number = '0'+byte(number%10), number/10
	}
	return dst
}

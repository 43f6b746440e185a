package telemetry

import (
	"strings"
	"time"
)

// Names of streams, in requests and within lines.
const (
	streamEvents      = "events"
	streamDeployment  = "deployment"
	streamInstance    = "instance"
	streamApplication = "application"
	streamAccess      = "access"
)

// Line is one line of a log.
type Line struct {
	// Time is when it was written; zero for a line that carries none.
	Time time.Time
	// Stream is stdout or stderr for an instance's output, else events, deployment or access.
	Stream string
	// Message is the text, without its newline.
	Message string
}

// formatLine makes the bytes of one line. The time has a fixed width, so that lines sort as text.
func formatLine(at time.Time, stream, text string) []byte {
	const layout = "2006-01-02T15:04:05.000000000Z"
	line := make([]byte, 0, len(layout)+len(stream)+len(text)+3)
	line = at.UTC().AppendFormat(line, layout)
	line = append(line, ' ')
	line = append(line, stream...)
	line = append(line, ' ')
	line = append(line, text...)
	return append(line, '\n')
}

// parseLine reads one line without its newline. A line of any other form is all message.
func parseLine(raw string) Line {
	stamp, rest, found := strings.Cut(raw, " ")
	if !found {
		return Line{Message: raw}
	}
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return Line{Message: raw}
	}
	stream, text, _ := strings.Cut(rest, " ")
	return Line{Time: at, Stream: stream, Message: text}
}

// oneLine keeps a text from becoming several lines.
func oneLine(text string) string {
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(text)
}

package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Clean takes out of a text what would move the cursor, change colours or ring the bell: an application's output must
// not steer the terminal of the person who reads it.
func Clean(text string) string {
	if !strings.ContainsFunc(text, isControl) && utf8.ValidString(text) {
		return text
	}
	var clean strings.Builder
	for rest := text; rest != ""; {
		if length := escapeLength(rest); length > 0 {
			rest = rest[length:]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == '\t':
			clean.WriteString("    ")
		case !isControl(r):
			clean.WriteRune(r) // U+FFFD for a byte that is no UTF-8
		}
		rest = rest[size:]
	}
	return clean.String()
}

func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// escapeLength is the length of the CSI or OSC sequence (ECMA-48) that text begins with, or 0.
func escapeLength(text string) int {
	if len(text) < 2 || text[0] != 0x1b {
		return 0
	}
	switch text[1] {
	case '[':
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x40 && text[i] <= 0x7e {
				return i + 1
			}
		}
		return len(text)
	case ']':
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1
			}
			if text[i] == 0x1b && i+1 < len(text) && text[i+1] == '\\' {
				return i + 2
			}
		}
		return len(text)
	}
	return 2
}

// Duration prints a time span for people: 0.3 s, 12.4 s, 2 m 5 s, 3 h 10 m, 4 d.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0 s"
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}

// Width is how many columns the terminal has that out is, or 0 if it is none.
func Width(out io.Writer) int {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width >= 20 {
		return width
	}
	return 80
}

// Cut leaves out the end of a line that is longer than width; a width of 0 is none.
func Cut(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// Wrap breaks text between words so that no line is longer than width, where that can be; lines after the first begin
// with indent. A width of 0 or less leaves the text as it is.
func Wrap(text string, width int, indent string) string {
	if width <= 0 {
		return text
	}
	var lines []string
	line, rest := "", text
	for rest != "" {
		// Spaces at the beginning belong to the word.
		start := len(rest) - len(strings.TrimLeft(rest, " "))
		end := strings.IndexByte(rest[start:], ' ')
		if end < 0 {
			end = len(rest) - start
		}
		word := rest[:start+end]
		rest = rest[start+end:]
		if strings.TrimSpace(line) != "" && utf8.RuneCountInString(line)+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line, word = indent, strings.TrimLeft(word, " ")
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}

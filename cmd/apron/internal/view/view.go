// Package view prints for people and for programs: tables, JSON, and the steps of an operation as they happen.
package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// Table prints rows under headings, in columns.
func Table(out io.Writer, headings []string, rows [][]string) error {
	columns := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(columns, strings.Join(headings, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = Clean(cell)
			if row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	return columns.Flush()
}

// Fields prints names and values below each other; fields without a value are left out.
func Fields(out io.Writer, fields [][2]string) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, field := range fields {
		if field[1] != "" {
			fmt.Fprintf(columns, "%s\t%s\n", field[0], Clean(field[1]))
		}
	}
	return columns.Flush()
}

// JSON prints value, indented.
func JSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

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

// Ago prints how long ago a time was.
func Ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	age := now.Sub(at)
	if age < time.Minute {
		return fmt.Sprintf("%d s ago", max(0, int(age.Seconds())))
	}
	text := Duration(age)
	if age < 24*time.Hour {
		number, unit, _ := strings.Cut(text, " ")
		text = number + " " + unit[:1]
	}
	return text + " ago"
}

// CleanLines cleans a text of several lines.
func CleanLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, Clean(strings.TrimSuffix(line, "\n")))
	}
	return strings.Join(lines, "\n")
}

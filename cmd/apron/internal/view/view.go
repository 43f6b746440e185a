// Package view prints for people and for programs: tables, JSON, and the steps of an operation as they happen.
package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/apron-run/apron/internal/progress"
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

// What shows operations lies apart, because apron itself shows them too: to those who push.

// Clean is progress.Clean.
func Clean(text string) string { return progress.Clean(text) }

// Duration is progress.Duration.
func Duration(d time.Duration) string { return progress.Duration(d) }

// Width is progress.Width.
func Width(out io.Writer) int { return progress.Width(out) }

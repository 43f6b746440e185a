package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestPartsEndTogether(t *testing.T) {
	t.Parallel()
	untilTold := func(ctx context.Context) error { <-ctx.Done(); return nil }
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	broken := errors.New("broken")
	for _, test := range []struct {
		name        string
		parts       []part
		told, error []string
	}{
		{"one fails", []part{{"a", untilTold}, {"b", func(context.Context) error { return broken }}}, []string{"part=b error=broken"}, []string{"b: broken"}},
		{"one ends by itself", []part{{"a", untilTold}, {"b", func(context.Context) error { return nil }}}, []string{"part=b"}, []string{"b: it ended by itself"}},
		{
			"one fails and another does not end",
			[]part{{"a", func(context.Context) error { <-never; return nil }}, {"b", func(context.Context) error { return broken }}, {"c", untilTold}},
			[]string{"part=b error=broken", "parts=a ", "TestPartsEndTogether"}, []string{"b: broken", "a: no end within"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			err := runParts(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), 50*time.Millisecond, test.parts)
			for _, want := range test.error {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("returned %v, want %q", err, want)
				}
			}
			for _, want := range test.told {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q:\n%s", want, log.String())
				}
			}
		})
	}
}

func TestPartsEndWhenTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	go func() { <-begun; cancel() }()
	var log bytes.Buffer
	err := runAll(ctx, slog.New(slog.NewTextHandler(&log, nil)), part{"a", func(ctx context.Context) error { close(begun); <-ctx.Done(); return nil }})
	if err != nil || log.Len() > 0 {
		t.Errorf("returned %v and told %q", err, log.String())
	}
}

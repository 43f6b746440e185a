package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/app"
)

func TestADetachedApronIsToldTheDatabaseInItsEnvironment(t *testing.T) {
	config := app.Default()
	config.Database = "postgres://apron:secret@db.example/apron"
	t.Setenv("APRON_DATABASE", "postgres://another.example/apron") // the flag counts before it
	command, err := serveCommand(config, "/serve.log")
	if err != nil {
		t.Fatal(err)
	}
	if arguments := strings.Join(command.Args, " "); strings.Contains(arguments, "secret") || !strings.Contains(arguments, "--data="+config.DataDir) {
		t.Errorf("the arguments are %s", arguments)
	}
	if environment := command.Environ(); !slices.Contains(environment, "APRON_DATABASE="+config.Database) {
		t.Errorf("the environment has no database: %q", environment)
	}
}

func TestAnApronThatRunsAndDoesNotAnswerIsToldWithWhatToDo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	s := &shell{out: io.Discard, err: io.Discard}
	text, advice := explain(s.leaveRunning(ctx, app.Config{DataDir: t.TempDir()}, app.Running{PID: 4321}, false))
	if !strings.Contains(text, "(process 4321) and does not answer") || !strings.Contains(advice, "kill -9 4321; apron serve --detach") {
		t.Errorf("it says %q and advises %q", text, advice)
	}
}

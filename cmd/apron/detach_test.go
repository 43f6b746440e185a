package main

import (
	"slices"
	"strings"
	"testing"

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

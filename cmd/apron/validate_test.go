package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const validFile = `version: 1.0
runtime: nodejs22
build:
  commands:
    - npm ci
  env:
    - {name: TOKEN, value: hunter2}
run:
  command: node server.js --port $PORT
  network:
    port: 3000
    env: APP_PORT
  env:
    - name: PASSWORD
      value: hunter2
  secrets:
    - {name: DB, value-from: /prod/db}
`

func TestValidateSaysWhatADeploymentWouldDo(t *testing.T) {
	dir := folder(t, map[string]string{
		"apprunner.yaml": validFile, "package.json": "{}", "package-lock.json": `{"lockfileVersion":3,"packages":{"":{}}}`,
	})
	got := apron(t, "validate", dir)
	got.expect(t, 0, "is valid", "nodejs22 (version 22.", "build, on the build image", "  + npm ci\n", "what `npm ci` has made is kept until package.json or package-lock.json changes",
		"node server.js --port $PORT", "3000, told as PORT and APP_PORT", "TOKEN", "PASSWORD", "DB",
		"warning: apprunner.yaml line 5, column 5: build.commands is a list and is read as build.commands.build\n    5 |     - npm ci\n            ^\n")
	if strings.Contains(got.out+got.problems, "hunter2") {
		t.Errorf("it shows the value of a variable:\n%s", got.out)
	}
}

// Without the file it shows the one that a deployment by the repository's files would have.
func TestValidateSaysWhatAFolderWithoutAFileIs(t *testing.T) {
	dir := folder(t, map[string]string{"package.json": `{"scripts":{"start":"node server.js"}}`, "server.js": ""})
	apron(t, "validate", dir).expect(t, 0, "There is no apprunner.yaml. This is a Node.js app (package.json).", "apron:build=auto",
		"    runtime: nodejs", "      command: npm start", "A deployment would build it on nodejs")
	dir = folder(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	apron(t, "validate", dir).expect(t, 0, "its Dockerfile says how it is built")
}

func TestValidateFailsWhereADeploymentWould(t *testing.T) {
	broken := strings.NewReplacer("nodejs22", "cobol", "3000", "http").Replace(validFile)
	for name, c := range map[string]struct {
		files map[string]string
		flags []string
		code  int
		want  []string
	}{
		"a port of letters":     {map[string]string{"apprunner.yaml": broken}, nil, 1, []string{"error: apprunner.yaml line 11, column 11", "   11 |     port: http\n                  ^"}},
		"an unknown runtime":    {map[string]string{"apprunner.yaml": strings.Replace(validFile, "nodejs22", "cobol", 1)}, nil, 1, []string{"line 2, column 10", "cobol", "nodejs22", "apron:build=dockerfile"}},
		"nothing to go by":      {map[string]string{"notes.txt": ""}, nil, 1, []string{"nothing says what app this is", "package.json"}},
		"a file of a near name": {map[string]string{"apprunner.yml": validFile}, nil, 1, []string{"there is apprunner.yml", "git mv apprunner.yml apprunner.yaml"}},
		"a folder that is away": {map[string]string{"apprunner.yaml": validFile}, []string{"--source-directory", "backend"}, 1, []string{"backend", "does not exist"}},
		"a folder outside":      {map[string]string{"apprunner.yaml": validFile}, []string{"--source-directory", "../x"}, 1, []string{"leaves the repository"}},
		"a tag of no runtime":   {map[string]string{"apprunner.yaml": validFile}, []string{"--runtime", "nodejs99"}, 1, []string{"apron:runtime", "nodejs99"}},
		"a catalogue that is away": {map[string]string{"apprunner.yaml": validFile}, []string{"--runtimes", "/nowhere.yaml"}, 1,
			[]string{"read the runtimes", "/nowhere.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			apron(t, append([]string{"validate", folder(t, c.files)}, c.flags...)...).expect(t, c.code, c.want...)
		})
	}
	below := folder(t, map[string]string{"apprunner.yaml": validFile})
	apron(t, "validate", filepath.Dir(below), "--source-directory", filepath.Base(below)).expect(t, 0, "/app/"+filepath.Base(below))
	apron(t, "validate", "/nowhere").expect(t, 2, "not a folder")
	apron(t, "validate", "a", "b").expect(t, 2, "at most one folder")
}

func TestValidateTellsProgramsTheSame(t *testing.T) {
	for text, want := range map[string]validation{
		validFile: {IsValid: true}, "version: 2\n": {},
	} {
		got := apron(t, "validate", folder(t, map[string]string{"apprunner.yaml": text}), "--output", "json")
		var told validation
		if err := json.Unmarshal([]byte(got.out), &told); err != nil {
			t.Fatalf("%v\n%s", err, got.out)
		}
		if told.IsValid != want.IsValid || want.IsValid != (got.code == 0) || want.IsValid == (len(told.Problems) > 0) {
			t.Errorf("%q: exit code %d, %+v", text, got.code, told)
		}
		if strings.Contains(got.out, "hunter2") {
			t.Errorf("it tells the value of a variable:\n%s", got.out)
		}
	}
}

func TestTheShownLineHoldsNoValue(t *testing.T) {
	for _, lines := range []string{
		"  env: {A: hunter2}\n", "  env:\n    - A=hunter2\n", "  env:\n    A: hunter2\n", "  env:\n    - {name: A, valu: hunter2}\n",
		"  env:\n    - name: A\n      value: ${hunter2}\n", "environment: {A: hunter2}\n", "  secrets:\n    - {name: A, value: hunter2}\n",
		"  env:\n    - name: A\n      value: \"hunter2\n", "  env:\n    - name: A\n      value: [hunter2]\n",
		"  env:\n    - name: A\n      value: >\n        hunter2\n\t- x", "env: [{name: A, value: hunter2}]\n",
	} {
		text := "version: 1.0\nruntime: nodejs22\nbuild:\n  commands:\n    build: [npm ci]\nrun:\n  command: node server.js\n" + lines
		got := apron(t, "validate", folder(t, map[string]string{"apprunner.yaml": text}))
		if said := got.out + got.problems; strings.Contains(said, "hunter2") || !strings.Contains(said, "line ") {
			t.Errorf("%q is told as\n%s", lines, said)
		}
	}
}

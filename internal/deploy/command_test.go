package deploy

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandArgs(t *testing.T) {
	shell := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, test := range []struct {
		command string
		want    []string
	}{
		{"", nil},
		{"  ", nil},
		{"python3 app.py", []string{"python3", "app.py"}},
		{"  node  server.js ", []string{"node", "server.js"}},
		{"app --level=3", []string{"app", "--level=3"}},
		{"uvicorn app:main --port $PORT", shell("exec uvicorn app:main --port $PORT")},
		{"gunicorn -w $(nproc) -b :${PORT:-8000} app:app", shell("exec gunicorn -w $(nproc) -b :${PORT:-8000} app:app")},
		{"cd x && ./y", shell("cd x && exec ./y")},
		{"cd 'a && b' && A=1 B=\"c d\" ./y > log 2>&1", shell("cd 'a && b' && A=1 B=\"c d\" exec ./y > log 2>&1")},
		{"MODE=prod ./y", shell("MODE=prod exec ./y")},
		{". venv/bin/activate && gunicorn app:app", shell(". venv/bin/activate && exec gunicorn app:app")},
		{"set -e\ncd server\nnode index.js", shell("set -e\ncd server\nexec node index.js")},
		{`sh -c "echo 'a b'"`, []string{"sh", "-c", "exec echo 'a b'"}},
		{`bash -c 'npx migrate && node main.js'`, []string{"bash", "-c", "npx migrate && exec node main.js"}},
		{`sh -c "app --port $PORT"`, []string{"sh", "-c", "exec app --port $PORT"}},
		{`sh -c "echo \"a\""`, shell(`exec sh -c "echo \"a\""`)},
		{`sh -c "a" "b"`, shell(`exec sh -c "a" "b"`)},
		{"a || b", shell("a || b")},
		{"a | b", shell("a | b")},
		{"a & b", shell("a & b")},
		{"if a; then b; fi", shell("if a; then b; fi")},
		{"(a && b)", shell("(a && b)")},
		{"a && . b", shell("a && . b")},
		{"a; # then b", shell("a; # then b")},
		{"a 'b", shell("a 'b")},
		{"a;", shell("a;")},
	} {
		if diff := cmp.Diff(test.want, CommandArgs(test.command)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.command, diff)
		}
	}
}

func TestTheAppTakesThePlaceOfItsShell(t *testing.T) {
	for _, command := range []string{
		`cat /proc/self/stat $EMPTY`,
		`cd / && A="b c" B=d cat proc/self/stat`,
		`sh -c "cd / && cat proc/self/stat"`,
		"set -e\ncd /\ncat proc/self/stat",
	} {
		args := CommandArgs(command)
		process := exec.CommandContext(t.Context(), args[0], args[1:]...)
		output, err := process.Output()
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
		if id, _, _ := strings.Cut(string(output), " "); id != strconv.Itoa(process.Process.Pid) {
			t.Errorf("%q: the shell is process %d, the app %s", command, process.Process.Pid, id)
		}
	}
	args := CommandArgs(`A="b c" env`)
	output, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
	if err != nil || !strings.Contains(string(output), "A=b c\n") {
		t.Errorf("the app does not get the variable that stands before it: %v, %s", err, output)
	}
}

func FuzzCommandArgs(f *testing.F) {
	for _, seed := range []string{"a && b", "A='b c' d $E", "sh -c \"a $B\"", "a `b | c` && d", "a\\", "${a && b}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, command string) {
		args := CommandArgs(command)
		if len(args) != 3 || args[1] != "-c" || !strings.Contains(args[0], "sh") {
			return
		}
		if script := args[2]; script != command && !strings.Contains(command, strings.Replace(script, "exec ", "", 1)) && !strings.Contains(script, "exec exec") {
			t.Errorf("%q becomes %q", command, script)
		}
	})
}

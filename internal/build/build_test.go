package build_test

import (
	"strings"
	"testing"
)

func TestExamplesBuildAndAnswer(t *testing.T) {
	w := openWorld(t)
	for _, test := range []struct{ example, want string }{
		{"hello-python", `"message": "Hello from Python", "path": "/", "mode": "production"`},
		{"hello-node", `{"message":"Hello from Node.js","path":"/","mode":"production"}`},
		{"hello-go", `{"message":"Hello from Go","mode":"production","path":"/"}`},
	} {
		t.Run(test.example, func(t *testing.T) {
			made := w.mustBuild(t, request(t, example(t, test.example)))
			t.Logf("built in %v", made.took)
			if body := w.answer(t, made); !strings.Contains(body, test.want) {
				t.Errorf("the app answered %q, want it to hold %q", body, test.want)
			}
		})
	}
}

package containerd

import (
	"errors"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

func TestAMissingShellIsToldByTheCommandThatNeedsIt(t *testing.T) {
	missing := errors.New(`create the process: OCI runtime create failed: runc create failed: unable to start container process: ` +
		`error during container init: exec: "/bin/sh": stat /bin/sh: no such file or directory`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"/bin/sh", "-c", "./app --name 'a b'"}, "its start command needs a shell, and the image has none (/bin/sh)"},
		{[]string{"/bin/sh", "start.sh"}, "the command /bin/sh was not found in the image"},
		{nil, "the command /bin/sh was not found in the image"},
	} {
		explained := platform.AsExplained(explainStart(missing, compute.InstanceSpec{Args: c.args}))
		if explained == nil || !strings.Contains(explained.Cause, c.want) {
			t.Errorf("%q: %v, want %q", c.args, explained, c.want)
		}
	}
}

package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"

	"github.com/apron-run/apron/internal/build/host"
)

// What a build is told about the machine's registries must not appear as files, least of all in the source's folder.
func TestTheMachinesSettingsLeaveNoFileInABuild(t *testing.T) {
	settings := host.Settings{BuildEnvironment: map[string]string{"GOPROXY": "https://user:password@proxy.example.org"}}
	options := append(hostOptions(settings), llb.Shlex("true"))
	definition, err := llb.Scratch().Run(options...).Root().Marshal(t.Context(), llb.LinuxAmd64)
	if err != nil {
		t.Fatal(err)
	}
	var files, variables []string
	for _, raw := range definition.Def {
		var op pb.Op
		if err := op.UnmarshalVT(raw); err != nil {
			t.Fatal(err)
		}
		for _, mount := range op.GetExec().GetMounts() {
			if mount.MountType == pb.MountType_SECRET {
				files = append(files, mount.Dest)
			}
		}
		for _, secret := range op.GetExec().GetSecretenv() {
			variables = append(variables, secret.Name)
		}
	}
	if diff := cmp.Diff([]string{"GOPROXY"}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if len(files) != 0 {
		t.Errorf("the build sees the files %v, want none", files)
	}
}

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// The story of a service of an image that is pushed to the embedded registry, told by the AWS CLI alone.
func TestStoryFromImage(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "story:live", sample.Variant{Version: "one", Port: 8080})

	var created apprunner.CreateServiceOutput
	a.AWS(t, &created, "create-service", "--service-name", "story", "--source-configuration", apron.JSON(t, storyImage("8080", "created")))
	service := a.Hold(created.Service)
	wantNewService(t, created)
	wantByCLI(t, a, service, *created.OperationId, "CREATE_SERVICE", "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "one")
	a.WantBody(t, service.URL, "/env?name=GREETING", "created")
	wantSize(t, a, service, "1024", "2048", 2048<<20)

	pushBySkopeo(t, a, "story:live", sample.Image(t, sample.Variant{Version: "two", Port: 8080}))
	deployByCLI(t, a, service, "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "two")

	pauseAndResumeByCLI(t, a, service, "two")

	var updated apprunner.UpdateServiceOutput
	a.AWS(t, &updated, "update-service", "--service-arn", service.ARN, "--instance-configuration", "Cpu=0.5 vCPU,Memory=1 GB",
		"--source-configuration", apron.JSON(t, storyImage("9090", "updated")))
	wantByCLI(t, a, service, *updated.OperationId, "UPDATE_SERVICE", "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "two")
	a.WantBody(t, service.URL, "/env?name=PORT", "9090")
	a.WantBody(t, service.URL, "/env?name=GREETING", "updated")
	wantSize(t, a, service, "512", "1024", 1024<<20)

	push(t, a, "story:live", sample.Variant{Version: "three", Environment: map[string]string{"MODE": "exit", "EXIT_CODE": "3"}})
	broken := deployByCLI(t, a, service, "ROLLBACK_SUCCEEDED")
	wantTold(t, a, service, broken, "exit code 3", "the configuration has no DATABASE_URL")
	a.WantBody(t, service.URL, "/", "two")

	deleteByCLI(t, a, service)
}

func storyImage(port, greeting string) map[string]any {
	return map[string]any{"AutoDeploymentsEnabled": false, "ImageRepository": map[string]any{
		"ImageIdentifier": "story:live", "ImageRepositoryType": "ECR",
		"ImageConfiguration": map[string]any{"Port": port, "RuntimeEnvironmentVariables": map[string]any{"GREETING": greeting}},
	}}
}

// wantSize fails the test unless the API tells the size and the instance's kernel limits hold it.
func wantSize(t *testing.T, a *apron.Apron, service *apron.Service, cpu, memory string, memoryBytes int) {
	t.Helper()
	var size *types.InstanceConfiguration = describeByCLI(t, a, service).InstanceConfiguration
	if *size.Cpu != cpu || *size.Memory != memory {
		t.Errorf("the size is %s, %s, want %s, %s", *size.Cpu, *size.Memory, cpu, memory)
	}
	limit := a.Get(t, service.URL, "/read?path=/sys/fs/cgroup/memory/memory.limit_in_bytes") // cgroup v1
	if limit.Status != 200 {
		limit = a.Get(t, service.URL, "/read?path=/sys/fs/cgroup/memory.max") // v2
	}
	if got := strings.TrimSpace(limit.Body); got != itoa(memoryBytes) {
		t.Errorf("the kernel limits the instance's memory to %q, want %d", got, memoryBytes)
	}
}

// pushBySkopeo pushes with Debian's skopeo, whose way of pushing is not crane's.
func pushBySkopeo(t *testing.T, a *apron.Apron, tag string, image v1.Image) {
	t.Helper()
	keys, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	archive := sample.Archive(t, image, "archive:latest")
	output, err := exec.CommandContext(t.Context(), "skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
		"--dest-creds", keys.AccessKeyID+":"+keys.SecretAccessKey, "docker-archive:"+archive, "docker://"+a.API+"/"+tag).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo copy: %v\n%s", err, output)
	}
}

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/sample"
)

// Every example of the repository is deployed as its README says, and answers.
func TestTheExamplesAreDeployedFromTheirFolders(t *testing.T) {
	t.Parallel()
	a := shared(t)
	for _, example := range []string{"hello-python", "hello-node", "hello-go", "hello-dockerfile"} {
		folder, err := filepath.Abs(filepath.Join("../../examples", example))
		if err != nil {
			t.Fatal(err)
		}
		var deployed struct {
			ServiceArn string
			Answer     struct{ Status, Text string }
		}
		printed := a.MustCommand(t, "deploy", folder, "--ask", "--output", "json")
		if err := json.Unmarshal([]byte(printed), &deployed); err != nil {
			t.Fatalf("%s: apron deploy --output json prints %q: %v", example, printed, err)
		}
		if !strings.HasPrefix(deployed.Answer.Status, "200") || !strings.Contains(deployed.Answer.Text, "Hello from") {
			t.Errorf("%s answers %+v", example, deployed.Answer)
		}
		a.MustCommand(t, "delete", deployed.ServiceArn)
	}
}

// A Dockerfile may build on what was pushed to the embedded registry, which asks for the key pair.
func TestADockerfileBuildsOnAnImageOfTheEmbeddedRegistry(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "base:live", sample.Variant{Version: "base"})
	repository := sample.NewRepository(t, map[string]string{
		"Dockerfile": "FROM " + a.API + "/base:live\nENV VERSION=derived\nEXPOSE 8080\n",
	})
	input := fromCode("dockerfile", repository.Dir)
	input.Tags = []types.Tag{{Key: ptr("apron:build"), Value: ptr("dockerfile")}}
	service := a.MustCreate(t, input)
	a.WantBody(t, service.URL, "/", "derived")
}

// The names that App Runner's users have in their scripts lead to the embedded registry.
func TestNamesOfECRLeadToTheEmbeddedRegistry(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "team/ecr-app:live", sample.Variant{Version: "from ecr"})
	service := a.MustCreate(t, fromImage("ecr-app", "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/ecr-app:live", nil))
	a.WantBody(t, service.URL, "/", "from ecr")
}

package e2e

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/sample"
)

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

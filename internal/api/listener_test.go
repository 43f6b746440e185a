package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribeListenersTellsAtWhichPortsServicesAnswer(t *testing.T) {
	got := newWorld(t).call("Apron.DescribeListeners", `{}`)
	if diff := cmp.Diff(map[string]any{"HttpPort": 8080.0, "HttpsPort": 8443.0}, got); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
}

package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribeScalingTellsTheSizeAndWhyItIsSo(t *testing.T) {
	w := newWorld(t)
	got := w.call("Apron.DescribeScaling", arnOf(w.running("webapp")))["Scaling"]
	want := map[string]any{
		"Size": 3.0, "MinSize": 1.0, "MaxSize": 5.0, "InFlight": 12.0, "Waiting": 2.0, "Frozen": 1.0,
		"Reason": "14 requests", "ChangedAt": 1795521600.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scaling (-want +got):\n%s", diff)
	}
}

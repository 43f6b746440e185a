package build

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

func TestHowMuchOfAnImageIsFetchedIsToldNowAndThen(t *testing.T) {
	var log strings.Builder
	begun := time.Unix(1_700_000_000, 0)
	p := &progress{log: &log, prefixOf: dockerfilePrefix, steps: map[digest.Digest]*step{}}
	layer := func(id string, after time.Duration, current int64) *client.SolveStatus {
		return &client.SolveStatus{Statuses: []*client.VertexStatus{
			{ID: id, Vertex: "from", Name: "downloading", Current: current << 20, Total: 60 << 20, Timestamp: begun.Add(after)},
		}}
	}
	stream := make(chan *client.SolveStatus, 10)
	for _, status := range []*client.SolveStatus{
		{Vertexes: []*client.Vertex{{Digest: "from", Name: "[1/2] FROM docker.io/library/node:22", Started: &begun}}},
		layer("sha256:a", 0, 1),
		layer("sha256:b", time.Second, 3),
		layer("sha256:a", 2*time.Second, 31),
		layer("sha256:b", 3*time.Second, 40),
		layer("extracting sha256:a", 9*time.Second, 40),
		layer("sha256:a", 10*time.Second, 60),
	} {
		stream <- status
	}
	close(stream)
	p.follow(stream)
	want := "[Build] fetched 34 of 120 MB: [1/2] FROM docker.io/library/node:22\n[Build] fetched 100 of 120 MB: [1/2] FROM docker.io/library/node:22\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Error(diff)
	}
}

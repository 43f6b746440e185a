package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fakePreparation = "0123456789abcdef0123456789abcdef"

func fakeRuntimes() []map[string]any {
	now := float64(time.Now().Unix())
	return []map[string]any{
		{"Name": "dotnet6", "ApiName": "DOTNET_6", "Version": "6.0", "IsImage": true, "State": "NOT_MADE", "OutdatedServices": []any{}},
		{"Name": "go1", "ApiName": "GO_1", "State": "READY", "SizeMb": 250, "Digest": "sha256:aaaabbbbccccdddd", "MadeAt": now - 100*86400,
			"CheckedAt": now - 40*86400, "OutdatedServices": []any{}},
		{"Name": "nodejs24", "Version": "24.1.0", "State": "NOT_MADE", "OutdatedServices": []any{}},
		{"Name": "php81", "ApiName": "PHP_81", "IsImage": true, "State": "FAILED", "Failure": "the registry cannot be reached", "OutdatedServices": []any{}},
		{"Name": "python311", "ApiName": "PYTHON_311", "Version": "3.11", "State": "READY", "SizeMb": 145, "Digest": "sha256:0123456789abcdef",
			"MadeAt": now - 7200, "CheckedAt": now - 60, "OutdatedServices": []any{"shop", "blog", "api", "wiki"}},
	}
}

func TestRuntimesAreListedWithWhatTheMachineHasOfThem(t *testing.T) {
	newFakeAPI(t)
	listed := apron(t, "runtimes")
	listed.expect(t, 0, "NAME", "API NAME", "KIND", "STATE", "SIZE", "DIGEST")
	for _, want := range [][]string{
		{"dotnet6", "DOTNET_6", "image", "not made"}, {"go1", "recipe", "ready, old", "250 MB", "aaaabbbbcccc"},
		{"php81", "failed", "the registry cannot be reached"},
		{"python311", "PYTHON_311", "3.11", "ready", "145 MB", "2 h ago", "4 services run on an older one: shop, blog, api, …"},
	} {
		found := false
		for line := range strings.Lines(listed.out) {
			isAll := true
			for _, text := range want {
				isAll = isAll && strings.Contains(line, text)
			}
			found = found || isAll
		}
		if !found {
			t.Errorf("no line has %q:\n%s", want, listed.out)
		}
	}
	apron(t, "runtimes", "--output", "json").expect(t, 0, `"OutdatedServices"`, `"CheckedAt"`)
	apron(t, "runtimes", "list").expect(t, 2, `there is no command "runtimes list"`)
}

func TestARuntimeIsPreparedWithLiveProgress(t *testing.T) {
	fake := newFakeAPI(t)
	fake.preparation = []map[string]any{
		{"State": "RUNNING", "Lines": []any{"making base", "Get:1 python3"}, "NextLine": 2},
		{"State": "SUCCEEDED", "Lines": []any{"made base: 145 MB"}, "NextLine": 3},
	}
	apron(t, "runtimes", "build", "python311", "--refresh").expect(t, 0,
		"  │ making base", "  │ Get:1 python3", "  │ made base: 145 MB", "python311 is ready: 145 MB, digest 0123456789ab.",
		"4 services run on an older one", "Deploy to bring the newer one there.")
	if diff := cmp.Diff([]map[string]any{{"Name": "python311", "IsRefresh": true}}, fake.did("PrepareRuntime")); diff != "" {
		t.Errorf("what is asked for differs:\n%s", diff)
	}
	wantFrom := []map[string]any{{"PreparationId": fakePreparation, "FromLine": 0.0}, {"PreparationId": fakePreparation, "FromLine": 2.0}}
	if diff := cmp.Diff(wantFrom, fake.did("DescribePreparation")); diff != "" {
		t.Errorf("the lines that are asked for differ:\n%s", diff)
	}
	fake.preparation = []map[string]any{{"State": "SUCCEEDED", "IsUnchanged": true}}
	apron(t, "runtimes", "build", "go1", "--refresh").expect(t, 0, "go1 is unchanged: 250 MB")
	apron(t, "runtimes", "pull", "go1").expect(t, 0, "go1 is a recipe, so apron makes it.", "go1 is ready already")
	apron(t, "runtimes", "build", "php81").expect(t, 0, "php81 is an image, so apron pulls it.", "is being prepared already")
}

func TestAPreparationThatFailsSaysWhyAndWhatToTry(t *testing.T) {
	fake := newFakeAPI(t)
	fake.preparation = []map[string]any{{"State": "FAILED", "Lines": []any{"looking"}, "NextLine": 1, "Failure": map[string]any{
		"Step": "prepare", "Cause": "the mirror has no such image", "Remedy": "push it there", "Evidence": []any{"404 not found"},
	}}}
	apron(t, "runtimes", "pull", "dotnet6").expect(t, 1, "the mirror has no such image", "push it there", "404 not found")
	apron(t, "runtimes", "pull", "none").expect(t, 1, "there is no runtime none", "`apron runtimes`")
	apron(t, "runtimes", "pull").expect(t, 2, "names of runtimes")
	fake.refuse["PrepareRuntime"] = "InvalidStateException: The runtime dotnet6 is being prepared; refresh it when that has ended."
	apron(t, "runtimes", "pull", "dotnet6", "--refresh").expect(t, 1, "is being prepared")
	fake.refuse["DescribePreparation"] = "ResourceNotFoundException: There is no preparation."
	apron(t, "runtimes", "pull", "dotnet6").expect(t, 1, "apron was started again meanwhile", "Run the command again.")
}

func TestCtrlCStopsAPreparation(t *testing.T) {
	fake := newFakeAPI(t)
	fake.preparation = []map[string]any{{"State": "RUNNING", "Lines": []any{"making base"}, "NextLine": 1}}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, problems bytes.Buffer
	code := run(ctx, []string{"runtimes", "build", "python311"}, strings.NewReader(""), &out, writerFunc(func(p []byte) {
		problems.Write(p)
		if strings.Contains(problems.String(), "making base") {
			interrupt()
		}
	}))
	if code != 1 || !strings.Contains(problems.String(), "the preparation of python311 is stopped") {
		t.Errorf("it ended with %d:\n%s", code, problems.String())
	}
	if diff := cmp.Diff([]map[string]any{{"PreparationId": fakePreparation}}, fake.did("CancelPreparation")); diff != "" {
		t.Errorf("what is cancelled differs:\n%s", diff)
	}
}

// writerFunc is a writer that tells what is written.
type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

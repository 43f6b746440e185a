package conformance

import (
	"os"
	"slices"
	"strings"
	"testing"

	model "github.com/apron-run/apron/apprunner"
)

// compatibilityPage is where the page is, seen from here.
const compatibilityPage = "../../docs/compatibility.md"

// compareCompatibility fails the test when the committed page is not the wanted one, or writes it.
func compareCompatibility(t *testing.T, want string) {
	t.Helper()
	if os.Getenv("APRON_COMPATIBILITY") == "write" {
		if t.Failed() {
			t.Log("steps have failed, and the page says so")
		}
		if err := os.WriteFile(compatibilityPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if t.Failed() {
		return // the page is not what is wrong
	}
	committed, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatalf("%v: run make compatibility", err)
	}
	if got, wanted := versionsIn(string(committed)), versionsIn(want); got != wanted {
		t.Skipf("the page is of other versions of the clients: it has %s, here are %s", got, wanted)
	}
	got, wanted := strings.Split(string(committed), "\n"), strings.Split(want, "\n")
	for i, line := range wanted {
		if i >= len(got) || got[i] != line {
			t.Fatalf("docs/compatibility.md is stale from line %d: run make compatibility. It should be:\n%s", i+1, line)
		}
	}
	if len(got) != len(wanted) {
		t.Fatal("docs/compatibility.md has too many lines: run make compatibility")
	}
}

// versionsIn are the names and versions of the clients in a page.
func versionsIn(page string) string {
	var versions []string
	for line := range strings.Lines(page) {
		cells := strings.Split(line, " | ")
		for _, name := range clientNames {
			if len(cells) > 2 && cells[0] == "| "+name {
				versions = append(versions, name+" "+cells[1])
			}
		}
	}
	return strings.Join(versions, ", ")
}

func TestTheScriptCallsEveryActionInGoodAndInBad(t *testing.T) {
	// Actions of which the model knows no error that an input can cause without a resource are none; each must have both.
	good, bad := map[string]bool{}, map[string]bool{}
	for _, chapter := range script() {
		for _, step := range chapter.Steps {
			if step.Error == "" {
				good[step.Action] = true
			} else {
				bad[step.Action] = true
			}
		}
	}
	for _, action := range model.Actions() {
		if !good[action.Name] {
			t.Errorf("no step of the script wants an output of %s", action.Name)
		}
		if !bad[action.Name] {
			t.Errorf("no step of the script wants an error of %s", action.Name)
		}
	}
}

// The script wants an action's declared errors, apart from the one that is apron's own fault.
func TestTheScriptWantsOnlyDeclaredErrorsAndAllOfThem(t *testing.T) {
	seen := map[string]map[string]bool{}
	for _, chapter := range script() {
		for _, step := range chapter.Steps {
			for code := range strings.SplitSeq(step.Error, "|") {
				if seen[step.Action] == nil {
					seen[step.Action] = map[string]bool{}
				}
				seen[step.Action][code] = true
			}
		}
	}
	for _, action := range model.Actions() {
		for code := range seen[action.Name] {
			isCommon := code == "" || code == "SerializationException"
			if !isCommon && !action.Declares(model.ErrorCode(code)) {
				t.Errorf("the script wants %s of %s, which does not declare it", code, action.Name)
			}
		}
		for _, code := range action.Errors {
			if code != model.CodeInternalServiceError && !seen[action.Name][string(code)] && !neverSeen[action.Name+" "+string(code)] {
				t.Errorf("%s declares %s, and no step wants it", action.Name, code)
			}
		}
	}
}

// neverSeen are declared errors that nothing in apron's behaviour can cause.
var neverSeen = map[string]bool{
	// Tags may be changed in every state.
	"TagResource InvalidStateException":         true,
	"UntagResource InvalidStateException":       true,
	"ListTagsForResource InvalidStateException": true,
}

func TestAPageTellsWhatCameOfTheScript(t *testing.T) {
	results := []Result{
		{Step{Action: "ListServices"}, Passed, ""}, {Step{Action: "ListServices"}, Refused, ""},
		{Step{Action: "DeleteConnection"}, Failed, "x"}, {Step{Action: "DescribeService"}, Older, ""},
	}
	page := Compatibility(map[string]Run{boto3: {"1.2.3", map[string][]Result{"a": results}}})
	for _, want := range []string{
		"| boto3 | 1.2.3 | 4 | 1 | 1 | 1 |", "| ListServices | MaxResults, NextToken | NextToken, ServiceSummaryList | not tested | yes, 1 |",
		"| TagResource | ResourceArn, Tags | none |", "no: 1 of 1 failed", " older |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	if rows := strings.Count(page, "\n| ") - 1 - 1 - len(clientNames); rows != 37 {
		t.Errorf("the page has %d actions", rows)
	}
}

// What the page says beside the results is known without a run.
func TestTheCommittedPageTellsTheDifferences(t *testing.T) {
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	lastCell := func(line string) string { return line[strings.LastIndex(strings.TrimSuffix(line, " |"), " | ")+1:] }
	committed := map[string]string{}
	for line := range strings.Lines(string(page)) {
		key, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " ")
		committed[key] = strings.TrimSpace(line)
	}
	for line := range strings.Lines(Compatibility(nil)) {
		line = strings.TrimSpace(line)
		key, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " ")
		isAction := isRow && slices.ContainsFunc(model.Actions(), func(action model.Action) bool { return action.Name == key })
		switch {
		case isAction && lastCell(committed[key]) != lastCell(line):
			t.Errorf("the row of %s ends with %s, want %s: run make compatibility", key, lastCell(committed[key]), lastCell(line))
		case strings.Contains(line, "*Reason:*") && committed[key] != line:
			t.Errorf("it has %q, want %q: run make compatibility", committed[key], line)
		}
	}
}

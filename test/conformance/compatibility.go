package conformance

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	model "github.com/apron-run/apron/apprunner"
)

// Run is how the script went with one client.
type Run struct {
	Version string
	// Chapters are the results by the chapters' names.
	Chapters map[string][]Result
}

// count is how the steps of an action went with a client.
type count struct{ passed, refused, older, failed int }

// Compatibility returns docs/compatibility.md. It holds no times, so that it changes only with what it tells.
func Compatibility(runs map[string]Run) string {
	var text strings.Builder
	text.WriteString(compatibilityHead)
	writeClients(&text, runs)
	counts := map[string]map[string]count{}
	for name, run := range runs {
		counts[name] = countActions(run)
	}
	text.WriteString("\n## The 37 actions\n\n")
	text.WriteString(compatibilityColumns)
	fmt.Fprintf(&text, "\n| Action | Input members | Output members | %s | Differences |\n", strings.Join(clientNames, " | "))
	text.WriteString("|---|---|---|" + strings.Repeat("---|", len(clientNames)) + "---|\n")
	for _, action := range model.Actions() {
		cells := []string{action.Name, memberNames(action.Name, 1), memberNames(action.Name, 0)}
		for _, name := range clientNames {
			cells = append(cells, counts[name][action.Name].String())
		}
		fmt.Fprintf(&text, "| %s | %s |\n", strings.Join(cells, " | "), referencesOf(action.Name))
	}
	text.WriteString("\n## Differences\n\n")
	for i, each := range differences {
		fmt.Fprintf(&text, "%d. **%s** %s *Reason:* %s\n", i+1, each.what, each.how, each.why)
	}
	return text.String()
}

func writeClients(text *strings.Builder, runs map[string]Run) {
	text.WriteString("\n| Client | Version | Steps | Passed | Refused by the client | Older than the action |\n|---|---|---|---|---|---|\n")
	for _, name := range clientNames {
		var all count
		for _, results := range runs[name].Chapters {
			for _, result := range results {
				if result.Step.Image == nil {
					all.add(result.Verdict)
				}
			}
		}
		steps := all.passed + all.refused + all.older + all.failed
		fmt.Fprintf(text, "| %s | %s | %d | %d | %d | %d |\n", name, runs[name].Version, steps, all.passed, all.refused, all.older)
	}
}

func countActions(run Run) map[string]count {
	counts := map[string]count{}
	for _, results := range run.Chapters {
		for _, result := range results {
			each := counts[result.Step.Action]
			each.add(result.Verdict)
			counts[result.Step.Action] = each
		}
	}
	return counts
}

func (c *count) add(verdict Verdict) {
	switch verdict {
	case Passed:
		c.passed++
	case Refused:
		c.refused++
	case Older:
		c.older++
	default:
		c.failed++
	}
}

func (c count) String() string {
	switch {
	case c.failed > 0:
		return fmt.Sprintf("no: %d of %d failed", c.failed, c.passed+c.refused+c.older+c.failed)
	case c.passed == 0 && c.older > 0:
		return "older"
	case c.passed == 0:
		return "not tested"
	case c.older > 0:
		return fmt.Sprintf("yes, %d (%d older)", c.passed, c.older)
	default:
		return fmt.Sprintf("yes, %d", c.passed)
	}
}

// memberNames are the members of an action's input (parameter 1) or output (result 0), as the SDK for Go knows them.
func memberNames(action string, place int) string {
	method := reflect.TypeFor[*apprunner.Client]()
	found, _ := method.MethodByName(action)
	shape := found.Type.Out(0).Elem()
	if place == 1 {
		shape = found.Type.In(2).Elem()
	}
	var names []string
	for i := range shape.NumField() {
		if field := shape.Field(i); field.IsExported() && field.Name != "ResultMetadata" {
			names = append(names, field.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

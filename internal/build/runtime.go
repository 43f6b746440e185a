package build

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// appRunnerRuntimes are the runtimes that App Runner knows or knew, by both of their names.
var appRunnerRuntimes = []string{
	"python3", "python311", "nodejs12", "nodejs14", "nodejs16", "nodejs18", "nodejs22", "corretto8", "corretto11",
	"dotnet6", "go1", "php81", "ruby31",
	"PYTHON_3", "PYTHON_311", "NODEJS_12", "NODEJS_14", "NODEJS_16", "NODEJS_18", "NODEJS_22", "CORRETTO_8", "CORRETTO_11",
	"DOTNET_6", "GO_1", "PHP_81", "RUBY_31",
}

// Runtimes returns the API's enum values that this apron builds for, sorted.
func (b *Builder) Runtimes() []string { return b.runtimes.APINames() }

// Runtimes returns the API's enum values of the embedded catalogue, sorted.
func Runtimes() []string {
	runtimes, err := catalogue.Default()
	if err != nil {
		panic(err) // the embedded catalogue is checked by a test
	}
	return runtimes.APINames()
}

// unknownRuntime says in one sentence why there is no such runtime and which there are.
func unknownRuntime(name string, available []string) string {
	list := "available are " + strings.Join(available, ", ")
	if strings.EqualFold(strings.TrimSpace(name), "docker") || strings.EqualFold(name, "dockerfile") {
		return fmt.Sprintf("there is no runtime %q: to build with a Dockerfile, tag the service apron:build=dockerfile; "+
			"runtimes that are %s", name, list)
	}
	if slices.Contains(appRunnerRuntimes, name) {
		return fmt.Sprintf("the runtime %s is not available here; %s", name, list)
	}
	if near := nearestRuntime(name, available); near != "" {
		return fmt.Sprintf("there is no runtime %q, did you mean %s? %s", name, near, upperFirst(list))
	}
	return fmt.Sprintf("there is no runtime %q; %s", name, list)
}

// nearestRuntime finds the runtime that a misspelt or invented name means: the same letters (python3.11), else the same
// language (nodejs20).
func nearestRuntime(name string, available []string) string {
	for _, candidate := range available {
		if plainName(candidate) == plainName(name) {
			return candidate
		}
	}
	for _, candidate := range available {
		if language := languageOf(candidate); language != "" && languageOf(name) == language {
			return candidate
		}
	}
	return ""
}

func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

func languageOf(name string) string {
	language := strings.TrimRightFunc(plainName(name), unicode.IsDigit)
	switch language {
	case "node":
		return "nodejs"
	case "golang":
		return "go"
	case "py":
		return "python"
	}
	return language
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

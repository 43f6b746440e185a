package build

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
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

// runtimeOfTag finds the runtime that the service's tag names. It wins over what the file says, and says so.
func runtimeOfTag(runtimes *catalogue.Catalogue, tag string, file appfile.File) (catalogue.Runtime, []appfile.Remark, error) {
	runtime, ok := runtimes.ByName(tag)
	if !ok {
		return catalogue.Runtime{}, nil, unknownRuntime("the tag "+platform.TagRuntime, tag, runtimes.Names())
	}
	var remarks []appfile.Remark
	if file.Runtime != "" && file.Runtime != tag {
		remarks = append(remarks, tagRemark(file.RuntimeAt, tag, fmt.Sprintf("runtime %q", file.Runtime)))
	}
	if file.RuntimeVersion != "" && !versionOf(runtime).begins(numbers(file.RuntimeVersion, languageOf(tag))) {
		remarks = append(remarks, tagRemark(file.RuntimeVersionAt, tag, fmt.Sprintf("run.runtime-version %q", file.RuntimeVersion)))
	}
	return runtime, remarks, nil
}

func tagRemark(at appfile.Position, tag, ignored string) appfile.Remark {
	return appfile.Remark{At: at, Text: fmt.Sprintf("%s is ignored, because the service's tag %s=%s counts", ignored, platform.TagRuntime, tag)}
}

// unknownRuntime says why there is no such runtime and which there are. where is what names it.
func unknownRuntime(where, name string, available []string) *platform.ExplainedError {
	list := strings.Join(available, ", ")
	missing := platform.Explain(nil, "%s: there is no runtime %q", where, name)
	if strings.EqualFold(strings.TrimSpace(name), "docker") || strings.EqualFold(name, "dockerfile") {
		return missing.Try("to build with a Dockerfile, tag the service apron:build=dockerfile; else use one of %s", list)
	}
	if slices.Contains(appRunnerRuntimes, name) {
		return platform.Explain(nil, "%s: the runtime %s is not available here", where, name).Try("use one of %s", list)
	}
	if near := nearestRuntime(name, available); near != "" {
		return missing.Try("did you mean %s? Available are %s", near, list)
	}
	return missing.Try("use one of %s, or build with a Dockerfile: tag the service apron:build=dockerfile", list)
}

// nearestRuntime finds the runtime that a misspelt or invented name means: the same letters (python3.11), else the same
// language (nodejs20).
func nearestRuntime(name string, available []string) string {
	for _, candidate := range available {
		if plainName(candidate) == plainName(name) {
			return candidate
		}
	}
	for _, candidate := range slices.Backward(available) {
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

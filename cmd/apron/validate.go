package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/platform"
)

func newValidate(s *shell) *cobra.Command {
	var request build.PreviewRequest
	command := &cobra.Command{
		Use: "validate [DIR]", Short: "Say what a deployment of a folder would do, and what is wrong with its apprunner.yaml",
		Long: "validate reads the folder as a deployment would and says on which runtime it is built, which commands run where, how\n" +
			"the app starts, and what is understood otherwise than it is written. It needs no running apron and changes nothing.\n" +
			"The exit code is 1 when the file would be refused. Values of variables are never shown.",
		Example: "  apron validate\n  apron validate ./shop --source-directory backend\n  apron validate --output json",
		Args:    args(cobra.MaximumNArgs(1), "at most one folder"),
		RunE: func(_ *cobra.Command, given []string) error {
			dir, err := filepath.Abs(append(given, ".")[0])
			if err != nil {
				return err
			}
			request.Dir = dir
			return s.validate(request)
		},
	}
	set := command.Flags()
	set.StringVar(&request.SourceDirectory, "source-directory", "", "the folder below DIR that holds the file, as the service's SourceDirectory")
	set.StringVar(&request.Runtime, "runtime", "", "the runtime that the service's tag "+platform.TagRuntime+" names")
	set.StringVar(&request.Catalogue, "runtimes", "", "a catalogue of runtimes (YAML) in place of the built-in one")
	return command
}

// validation is the outcome for programs.
type validation struct {
	IsValid  bool
	Problems []appfile.Remark `json:",omitempty"`
	Remedy   string           `json:",omitempty"`
	*build.Preview
}

func (s *shell) validate(request build.PreviewRequest) error {
	if info, err := os.Stat(request.Dir); err != nil || !info.IsDir() {
		return &usageError{fmt.Errorf("%s is not a folder", request.Dir), "Name the folder of your app: apron validate DIR."}
	}
	file := filepath.Join(request.Dir, filepath.FromSlash(request.SourceDirectory), appfile.Name)
	preview, err := build.PreviewBuild(request)
	explained := platform.AsExplained(err)
	switch {
	case err != nil && explained == nil:
		return err // the catalogue, or the disk
	case s.isJSON() && err != nil:
		if err := view.JSON(s.out, validation{Problems: problemsOf(explained), Remedy: explained.Remedy}); err != nil {
			return err
		}
	case s.isJSON():
		return view.JSON(s.out, validation{IsValid: true, Preview: &preview})
	case err == nil:
		s.printPreview(preview)
		s.printRemarks("warning", file, preview.Warnings)
		return nil
	default:
		s.printRemarks("error", file, problemsOf(explained))
	}
	if explained.Remedy == "" {
		return errors.New("this would not be deployed")
	}
	return advise("To mend it, "+explained.Remedy+".", "this would not be deployed")
}

// problemsOf returns all that is wrong, with its places where it has them.
func problemsOf(explained *platform.ExplainedError) []appfile.Remark {
	var problems *appfile.Error
	if errors.As(explained.Err, &problems) {
		return problems.Problems
	}
	return []appfile.Remark{{Text: explained.Cause}}
}

func (s *shell) printPreview(preview build.Preview) {
	where := fmt.Sprintf("on %s (version %s), in %s:\n", preview.Runtime, preview.Version, preview.Folder)
	switch detected := preview.Detected; {
	case detected == nil:
		fmt.Fprintf(s.out, "%s is valid. A deployment would build it %s", appfile.Name, where)
	case detected.Text == "":
		fmt.Fprintf(s.out, "There is no %s. This is %s, and its Dockerfile says how it is built.\n", appfile.Name, view.Clean(detected.Kind))
		return
	default:
		fmt.Fprintf(s.out, "There is no %s. This is %s. `apron deploy`, or a service with the tag %s=%s, builds it as with this file:\n\n",
			appfile.Name, view.Clean(detected.Kind), platform.TagBuild, platform.BuildAuto)
		for line := range strings.Lines(detected.Text) {
			fmt.Fprintln(s.out, "    "+view.Clean(strings.TrimSuffix(line, "\n")))
		}
		fmt.Fprintf(s.out, "\nA deployment would build it %s", where)
	}
	for _, stage := range preview.Stages {
		fmt.Fprintf(s.out, "\n%s, on %s\n", stage.Name, stage.RunsOn)
		for _, command := range stage.Commands {
			fmt.Fprintf(s.out, "  + %s\n", strings.ReplaceAll(view.Clean(strings.ReplaceAll(strings.TrimSpace(command), "\n", "\r")), "\r", "\n    "))
		}
		if len(stage.Early) > 0 {
			fmt.Fprintf(s.out, "  what `%s` has made is kept until %s changes\n", view.Clean(strings.Join(stage.Early, "; ")), orWords(stage.EarlyFiles))
		}
	}
	fmt.Fprintln(s.out)
	_ = view.Fields(s.out, [][2]string{
		{"start", strings.Join(strings.Split(preview.Command, "\n"), "; ")},
		{"port", fmt.Sprintf("%d, told as %s", preview.Port, strings.Join(preview.PortVariables, " and "))},
		{"variables of the build", strings.Join(preview.BuildVariables, ", ")},
		{"variables of the app", strings.Join(preview.Variables, ", ")},
		{"secrets of the app", strings.Join(preview.Secrets, ", ")},
	})
}

func orWords(words []string) string {
	if len(words) == 0 {
		return "the command"
	}
	return strings.Join(words, " or ")
}

// printRemarks prints each remark with the line that it is about and a mark below the place.
func (s *shell) printRemarks(kind, file string, remarks []appfile.Remark) {
	for _, remark := range remarks {
		fmt.Fprintf(s.out, "\n%s: %s\n", kind, view.Clean(remark.String()))
		if line, found := lineOf(file, remark); found {
			number := fmt.Sprintf("%5d | ", remark.At.Line)
			fmt.Fprintf(s.out, "%s%s\n%s^\n", number, line, strings.Repeat(" ", len(number)+min(remark.At.Column-1, len([]rune(line)))))
		}
	}
}

var (
	// keyOf matches the part of a line before a value.
	keyOf = regexp.MustCompile(`^[\s-]*[\w.-]+\s*[:=]\s?`)
	// holdsValues matches a line with variables, whatever the remark on it is about.
	holdsValues = regexp.MustCompile(`(?i)(value|env\w*|secret\w*|variables)["']?\s*[:=]`)
)

// lineOf returns the line of the file that a remark is about, as it may be shown.
func lineOf(file string, remark appfile.Remark) (string, bool) {
	const most = 160
	opened, err := os.Open(file)
	if err != nil || remark.At.Line == 0 {
		return "", false
	}
	defer opened.Close()
	lines := bufio.NewScanner(io.LimitReader(opened, appfile.MaxBytes))
	lines.Buffer(nil, appfile.MaxBytes+1)
	for number := 1; lines.Scan(); number++ {
		if number < remark.At.Line {
			continue
		}
		text := lines.Text()
		if remark.IsPrivate || holdsValues.MatchString(text) {
			key := keyOf.FindString(text)
			if key == "" {
				return "", false
			}
			text = key + "…"
		}
		letters := []rune(strings.Map(asOneColumn, strings.TrimPrefix(text, "\ufeff")))
		return view.Clean(string(letters[:min(len(letters), most)])), true
	}
	return "", false
}

// asOneColumn keeps each letter in its column.
func asOneColumn(letter rune) rune {
	if letter == '\t' {
		return ' '
	}
	return letter
}

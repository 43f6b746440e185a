package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

func TestADockerfileThatCannotWorkIsToldWithItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		text, tag, value string
		want             []string
	}{
		"a word that is no instruction":   {text: "FROM scratch\nRUM make\n", want: []string{"line 2 of Dockerfile", "unknown instruction: RUM", "did you mean RUN?"}},
		"a flag that there is not":        {text: "FROM scratch\nRUN --mont=type=cache make\n", want: []string{"line 2 of Dockerfile", "mont"}},
		"nothing":                         {text: "", want: []string{"file with no instructions"}},
		"only comments":                   {text: "# later\n", want: []string{"file with no instructions"}},
		"no FROM":                         {text: "ARG A\n", want: []string{"no FROM"}},
		"a command before FROM":           {text: "RUN make\n", want: []string{"line 1 of Dockerfile", "no build stage"}},
		"another frontend":                {text: "# syntax=registry.example.org/mine:1\nFROM scratch\n", want: []string{"line 1 of Dockerfile", "registry.example.org/mine:1", "own Dockerfile frontend only"}},
		"another frontend, in JSON":       {text: `{"syntax":"registry.example.org/mine:1"}`, want: []string{"registry.example.org/mine:1"}},
		"another frontend, in a // line":  {text: "//syntax=registry.example.org/mine:1\nFROM scratch\n", want: []string{"registry.example.org/mine:1"}},
		"a name like the standard one":    {text: "# syntax=docker/dockerfile.example.org/mine:1\nFROM scratch\n", want: []string{"own Dockerfile frontend only"}},
		"the network of the machine":      {text: "FROM scratch\nENV A=1\nRUN --network=host make\n", want: []string{"line 3 of Dockerfile", "--network=host", "leave the flag out"}},
		"powers over the machine":         {text: "FROM scratch\nRUN --security=insecure make\n", want: []string{"line 2 of Dockerfile", "--security=insecure", "leave the flag out"}},
		"a device":                        {text: "FROM scratch\nRUN --device=vendor.example/gpu make\n", want: []string{"line 2 of Dockerfile", "--device"}},
		"an SSH agent":                    {text: "FROM scratch\nRUN --mount=type=ssh git clone x\n", want: []string{"line 2 of Dockerfile", "no SSH agent", "apron:build-secret:ID=SECRET"}},
		"a secret that it must have":      {text: "FROM scratch\nRUN --mount=type=secret,id=token,required=true make\n", want: []string{"line 2 of Dockerfile", "needs the secret token", "apron:build-secret:token=SECRET"}},
		"a stage that there is not":       {"FROM scratch AS one\nFROM scratch AS two\n", platform.TagTarget, "three", []string{`"three"`, "use one of one, two"}},
		"a stage where none has a name":   {"FROM scratch\n", platform.TagTarget, "three", []string{"FROM … AS NAME"}},
		"an unknown instruction, far off": {text: "FROM scratch\n\n\n\nRUN a \\\n  b\nWRONG\n", want: []string{"line 7 of Dockerfile"}},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := readDockerfile("Dockerfile", []byte(c.text))
			if err == nil {
				_, err = read.check(map[string]string{c.tag: c.value})
			}
			explained := platform.AsExplained(err)
			if explained == nil || explained.Remedy == "" {
				t.Fatalf("it is no explained error with a remedy: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestADockerfileIsToldWhatHasNoEffect(t *testing.T) {
	text := "# syntax=docker/dockerfile:1.7-labs\nARG BASE=scratch\nFROM $BASE AS one\nARG VERSION\nHEALTHCHECK CMD true\nVOLUME /data\n" +
		"RUN --mount=type=secret,target=/run/secrets/npmrc --mount=type=secret,id=token --network=none make\nUSER 1000\nSTOPSIGNAL SIGINT\n"
	read, err := readDockerfile("docker/Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	notices, err := read.check(map[string]string{
		platform.TagBuildArg + "VERSION": "1", platform.TagBuildArg + "BASE": "x", platform.TagBuildArg + "VERSON": "1",
		platform.TagBuildSecret + "token": "t", platform.TagBuildSecret + "other": "o", platform.TagTarget: "ONE", "team": "a",
	})
	want := []string{
		"line 5 of docker/Dockerfile: HEALTHCHECK is ignored: the service's HealthCheckConfiguration says how the app is asked",
		"line 6 of docker/Dockerfile: VOLUME is ignored: each instance has files of its own, which end with it",
		"line 7 of docker/Dockerfile: the secret npmrc is not there: no tag apron:build-secret:npmrc names one",
		"the tag apron:build-arg:VERSON has no effect: docker/Dockerfile has no ARG VERSON",
		"the tag apron:build-secret:other has no effect: docker/Dockerfile has no RUN --mount=type=secret,id=other",
	}
	if diff := cmp.Diff(want, notices); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSecretsAreHiddenALineAtATime(t *testing.T) {
	secrets := buildSecrets{"key": []byte("-----BEGIN KEY-----\nabcdef\n-----END KEY-----\n"), "other": []byte("abcdefgh"), "short": []byte("no")}
	if got := hiding(secrets.lines()).Replace("now: abcdef, no, abcdefgh"); got != "now: ***, no, ***" {
		t.Errorf("it shows %q", got)
	}
}

// What a user's Dockerfile holds must never end apron.
func FuzzReadDockerfile(f *testing.F) {
	f.Add("FROM scratch\nRUN --mount=type=secret,id=a true\n")
	f.Add("# syntax=docker/dockerfile:1\n# escape=`\nFROM a AS b\nRUN <<EOF\nx\nEOF\n")
	f.Fuzz(func(t *testing.T, text string) {
		if read, err := readDockerfile("Dockerfile", []byte(text)); err == nil {
			_, _ = read.check(nil)
		}
	})
}

package build

import (
	"strings"
	"testing"
)

// Each output is what the tool really printed, shortened to what counts.
func TestTheOutputOfAFailedStepSaysItsCause(t *testing.T) {
	for _, test := range []struct{ name, output, cause, remedy string }{
		{"npm ci without a lock file",
			"npm error code EUSAGE\nnpm error\nnpm error The `npm ci` command can only install with an existing package-lock.json or\nnpm error npm-shrinkwrap.json with lockfileVersion >= 1. Run an install with npm@5 or",
			"package-lock.json is missing or does not match package.json", "commit package-lock.json"},
		{"npm ci with an old lock file",
			"npm error code EUSAGE\nnpm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update your lock file with `npm install` before continuing.\nnpm error Missing: left-pad@1.3.0 from lock file",
			"package-lock.json is missing or does not match package.json", "run npm install"},
		{"yarn with an old lock file", "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.", "the lock file does not match package.json", "commit the lock file"},
		{"npm without such a version", "npm error code ETARGET\nnpm error notarget No matching version found for left-pad@99.0.0.\nnpm error notarget In most cases", "npm finds no version left-pad@99.0.0", "package.json"},
		{"npm without such a package", "npm ERR! code E404\nnpm ERR! 404  'lefft-pad@1.0.0' is not in this registry.", "there is no package lefft-pad@1.0.0", "package.json"},
		{"npm that cannot agree", "npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree", "npm cannot bring the versions", "--legacy-peer-deps"},
		{"npm without the script", "npm error Missing script: \"build\"\nnpm error", "package.json has no script build", "scripts"},
		{"npm without package.json", "npm error code ENOENT\nnpm error enoent Could not read package.json: Error: ENOENT: no such file or directory, open '/app/package.json'", "there is no package.json where the command runs", "SourceDirectory"},
		{"npm without a network", "npm error code EAI_AGAIN\nnpm error request to https://registry.example.org/left-pad failed, reason: getaddrinfo EAI_AGAIN registry.example.org", "the host registry.example.org was not found", "DNS"},
		{"a module that is not there", "Error: Cannot find module 'express'\nRequire stack:\n- /app/build.js", "Node.js does not find express", "package.json"},
		{"a tool of devDependencies", "> shop@1.0.0 build\n> tsc\n\nsh: 1: tsc: not found", "there is no command tsc", "devDependencies"},
		{"Node.js out of memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "Node.js used all the memory", "--max-old-space-size"},

		{"pip without such a version", "ERROR: Could not find a version that satisfies the requirement flask==99.1 (from versions: 0.1, 0.2)\nERROR: No matching distribution found for flask==99.1", "pip finds no version of flask==99.1", "another runtime"},
		{"pip without a network", "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: [Errno -3] Temporary failure in name resolution'\nERROR: No matching distribution found for flask", "a host was not found", "proxy"},
		{"pip without the file", "ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'requirements.txt'", "there is no requirements.txt where the command runs", "SourceDirectory"},
		{"pip that must compile", "  error: command 'gcc' failed: No such file or directory\n  ERROR: Failed building wheel for psycopg2", "pip could not compile psycopg2", "wheel"},
		{"a Python module", "Traceback (most recent call last):\nModuleNotFoundError: No module named 'django'", "Python does not find the module django", "requirements.txt"},
		{"Python that cannot be read", "*** Error compiling './broken.py'...\n  File \"./broken.py\", line 1\nSyntaxError: invalid syntax", "a file has a syntax error: invalid syntax", "lines above"},

		{"a newer Go", "go: go.mod requires go >= 1.99 (running go 1.24.4; GOTOOLCHAIN=local)", "go.mod asks for Go 1.99", "runtime"},
		{"Go without a requirement", "main.go:4:2: no required module provides package github.com/google/uuid; to add it:\n\tgo get github.com/google/uuid", "go.mod does not name github.com/google/uuid", "go mod tidy"},
		{"Go without a sum", "main.go:4:2: missing go.sum entry for module providing package rsc.io/quote", "go.sum does not match go.mod", "commit go.mod and go.sum"},
		{"Go killed", "go build example.org/app: /usr/local/go/pkg/tool/linux_amd64/link: signal: killed", "it ran out of memory", "--build-memory"},
		{"Go without a host", "go: dial tcp: lookup proxy.example.org on 10.0.0.1:53: no such host", "the host proxy.example.org was not found", "DNS"},

		{"a newer Java", "[ERROR] Fatal error compiling: error: invalid target release: 21", "newer than the runtime", "pom.xml"},
		{"another Ruby", "Your Ruby version is 3.1.2, but your Gemfile specified 3.3.0", "another Ruby than 3.1.2", "Gemfile"},
		{"bundler", "Could not find gem 'rails (= 99.0)' in rubygems repository", "bundler finds no gem rails (= 99.0)", "Gemfile.lock"},

		{"a command of another runtime", "apron: line 2: mvn: command not found", "there is no command mvn", "corretto11"},
		{"yarn", "apron: line 2: yarn: command not found", "there is no command yarn", "npm install --global yarn"},
		{"an unknown command", "apron: line 2: frobnicate: command not found", "there is no command frobnicate", "an earlier command"},
		{"a script that may not run", "apron: line 2: ./build.sh: Permission denied", "./build.sh has no executable bit in Git", "git update-index --chmod=+x ./build.sh"},
		{"a script of Windows", "apron: line 2: ./build.sh: /bin/bash^M: bad interpreter: No such file or directory", "line ends of Windows", ".gitattributes"},
		{"a file that is not there", "cat: config/prod.json: No such file or directory", "there is no config/prod.json", ".gitignore"},
		{"COPY of what is not there", `failed to compute cache key: failed to calculate checksum of ref 1::2: "/dist": not found`, "/dist is not in the repository", ".dockerignore"},
		{"quotes", "apron: eval: line 3: unexpected EOF while looking for matching `\"'", "the shell cannot read the command", "quotes"},
		{"no room", "tar: write error: No space left on device", "no space left", "data directory"},
		{"the machine itself", "psycopg2.OperationalError: connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused", "a server did not answer", "localhost"},
		{"an authority of a company", "npm error code SELF_SIGNED_CERT_IN_CHAIN", "certificate of a server is not trusted", "update-ca-certificates"},
		{"a private package", "npm error code E401\nnpm error Unable to authenticate", "want of credentials", ".npmrc"},
		{"a private repository", "fatal: could not read Username for 'https://git.example.org': terminal prompts disabled", "https://git.example.org wants a user and a password", "vendoring"},

		{"too much output", "line 4711\n[output clipped, log limit 4MiB reached]", "it printed more than 4MiB", "print less"},
		{"coloured output", "\x1b[31mnpm error\x1b[0m Missing script: \"build\"", "package.json has no script build", "scripts"},
		{"the user's own words", "+ echo 'npm: command not found' && false\nall wrong", "", ""},
		{"nothing known", "assertion failed: 1 != 2", "", ""},
		{"bytes of any kind", "\xff\xfe\x00", "", ""},
	} {
		cause, remedy := hintOf(strings.Split(test.output, "\n"))
		if !strings.Contains(cause, test.cause) || !strings.Contains(remedy, test.remedy) || test.cause == "" && cause != "" {
			t.Errorf("%s: the cause is %q, and to try is %q; want %q and %q", test.name, cause, remedy, test.cause, test.remedy)
		}
		if strings.Contains(cause+remedy, "$") {
			t.Errorf("%s: something stands for something else in %q, %q", test.name, cause, remedy)
		}
	}
}

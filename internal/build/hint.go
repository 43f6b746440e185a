package build

import (
	"regexp"
	"slices"
	"strings"

	shown "github.com/apron-run/apron/internal/progress"
)

// hint is what a line of a failed step's output says of the cause, and what to try. $1 is what the pattern's first group
// matched.
type hint struct {
	pattern       *regexp.Regexp
	cause, remedy string
}

const (
	// hintLines is how far back hints are looked for: some tools print their usage after their complaint.
	hintLines = 60
	// closingLines is how far back closingHints are.
	closingLines = 5

	noSuchHost = "correct its name, or look at the DNS and the proxy of this machine: builds use both"
	noTrust    = "add its authority to those of this machine (/usr/local/share/ca-certificates, update-ca-certificates), which builds trust, and start apron again"
)

// hints are in the order in which they count: a cause comes before what follows from it, as a network that fails before
// the package that was then not found.
var hints = []hint{
	{regexp.MustCompile(`No space left on device|ENOSPC`), "there is no space left on the disk",
		"let it write less, or make room on the disk of apron's data directory"},
	{regexp.MustCompile(`JavaScript heap out of memory`), "Node.js used all the memory that it allows itself",
		"let it use less, or put NODE_OPTIONS=--max-old-space-size=2048 before the command"},
	{regexp.MustCompile(`java\.lang\.OutOfMemoryError|^MemoryError|Cannot allocate memory|: signal: killed`), "it ran out of memory", lessMemory},

	{regexp.MustCompile(`(?:ENOTFOUND|EAI_AGAIN) ([\w.-]+)`), "the host $1 was not found", noSuchHost},
	{regexp.MustCompile(`Could not resolve host:? '?([\w.-]+)`), "the host $1 was not found", noSuchHost},
	{regexp.MustCompile(`lookup ([\w.-]+)(?: on \S+)?: (?:no such host|server misbehaving)`), "the host $1 was not found", noSuchHost},
	{regexp.MustCompile(`Temporary failure in name resolution|Name or service not known`), "a host was not found", noSuchHost},
	{regexp.MustCompile(`ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|Connection timed out|Network is unreachable|[Cc]onnection refused`),
		"a server did not answer", "try again; a build reaches the outside, but neither this machine nor the services on it (no database of yours at localhost)"},
	{regexp.MustCompile(`SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF)|self[- ]signed certificate|unable to get local issuer certificate|certificate signed by unknown authority|CERTIFICATE_VERIFY_FAILED`),
		"the certificate of a server is not trusted", noTrust},
	{regexp.MustCompile(`fatal: could not read (?:Username|Password) for '([^']+)'`), "$1 wants a user and a password, which no build has",
		"take the dependency from a registry, or commit it (vendoring)"},
	{regexp.MustCompile(`(?:code E40[13]|40[13] (?:Unauthorized|Forbidden))`), "a registry refused a package for want of credentials",
		"correct the name of the package; one from a private registry needs the registry's own configuration, such as .npmrc or pip.conf of this machine"},

	{regexp.MustCompile("npm ci` c(?:an only install packages when|ommand can only install with an existing)|in sync\\. Please update your lock file"),
		"package-lock.json is missing or does not match package.json", "run npm install where you work, and commit package-lock.json"},
	{regexp.MustCompile(`lockfile needs to be updated|lockfile would have been modified|ERR_PNPM_OUTDATED_LOCKFILE|ERR_PNPM_NO_LOCKFILE`),
		"the lock file does not match package.json", "run the install where you work, and commit the lock file"},
	{regexp.MustCompile(`No matching version found for ([^\s]+?)\.?(?:\s|$)`), "npm finds no version $1", "correct the version in package.json, and run npm install again"},
	{regexp.MustCompile(`npm (?:ERR!|error) 404\s+'([^']+)' is not in this registry`), "there is no package $1", "correct its name or version in package.json; a private one needs its registry in .npmrc"},
	{regexp.MustCompile(`npm (?:ERR!|error) (?:code )?ERESOLVE`), "npm cannot bring the versions of the packages together",
		"choose versions that fit, as the lines below ERESOLVE say, or add --legacy-peer-deps"},
	{regexp.MustCompile(`Missing script:? "?([\w:.-]+)`), "package.json has no script $1", "add it below scripts, or correct its name in the command"},
	{regexp.MustCompile(`Could not read package\.json|Couldn't find a package\.json|ERR_PNPM_NO_PKG_MANIFEST|enoent ENOENT: .*package\.json`), "there is no package.json where the command runs",
		"commit it, or set SourceDirectory to the folder that it is in"},
	{regexp.MustCompile(`Cannot find (?:module|package) '([^']+)'`), "Node.js does not find $1",
		"name its package in package.json, and install before this command; npm leaves out devDependencies when NODE_ENV is production"},

	{regexp.MustCompile(`Could not open requirements file: .*'([^']+)'`), "there is no $1 where the command runs", "commit it, or set SourceDirectory to the folder that it is in"},
	{regexp.MustCompile(`(?:No matching distribution found for|satisfies the requirement) ([^\s(;]+)`), "pip finds no version of $1 for this Python",
		"correct its name, take a version that this Python has, or use another runtime"},
	{regexp.MustCompile(`ResolutionImpossible`), "pip cannot bring the versions of the packages together", "loosen one of those that its lines name"},
	{regexp.MustCompile(`(?:Failed building wheel for|Failed to build) ([\w.-]+)$`), "pip could not compile $1", "take a version of it that has a wheel for this Python"},
	{regexp.MustCompile(`ModuleNotFoundError: No module named '([^']+)'`), "Python does not find the module $1",
		"name its package in requirements.txt, and install that before this command"},

	{regexp.MustCompile(`go\.mod requires go >= ([\d.]+)`), "go.mod asks for Go $1, which is newer than the runtime", "use a newer runtime, or lower the go line of go.mod"},
	{regexp.MustCompile(`no required module provides package ([^\s;]+)`), "go.mod does not name $1", "run go mod tidy where you work, and commit go.mod and go.sum"},
	{regexp.MustCompile(`missing go\.sum entry|updates to go\.(?:mod|sum) needed`), "go.sum does not match go.mod", "run go mod tidy where you work, and commit go.mod and go.sum"},
	{regexp.MustCompile(`go\.mod file not found`), "there is no go.mod where the command runs", "commit it, or set SourceDirectory to the folder that it is in"},

	{regexp.MustCompile(`invalid (?:target|source) release: (\S+)|release version (\S+) not supported`), "the project asks for a Java that is newer than the runtime",
		"use a newer runtime, or lower the release in pom.xml or build.gradle"},
	{regexp.MustCompile(`Your Ruby version is (\S+), but your Gemfile specified`), "the Gemfile asks for another Ruby than $1, which the runtime has", "use a runtime that fits, or correct the Gemfile"},
	{regexp.MustCompile(`Could not find (?:gem )?'([^']+)'`), "bundler finds no gem $1", "correct the Gemfile, run bundle lock where you work, and commit Gemfile.lock"},
	{regexp.MustCompile(`lock file (?:is not up to date|does not contain a compatible set)`), "composer.lock does not match composer.json or this PHP", "run composer update where you work, and commit composer.lock"},
	{regexp.MustCompile(`NETSDK1045`), "the project asks for a .NET that is newer than the runtime", "use a newer runtime, or lower TargetFramework"},

	{regexp.MustCompile(`\^M: bad interpreter|\$'\\r': command not found|env: .*\\r`), "a script has the line ends of Windows",
		"put `*.sh text eol=lf` into .gitattributes, run git add --renormalize ., and commit"},
	{regexp.MustCompile(`(?:^|[\s:])((?:\./|/app/)[^\s:]+): [Pp]ermission denied`), "$1 has no executable bit in Git",
		"run git update-index --chmod=+x $1 and commit, or start it by its interpreter, such as sh $1"},
	{regexp.MustCompile(`sh: (?:\d+: )?([\w.+-]+): not found`), "there is no command $1", ""},
	{regexp.MustCompile(`(?:^|: )([\w.+-]+): command not found`), "there is no command $1", ""},
	{regexp.MustCompile(`syntax error near unexpected token|unexpected EOF while looking for`), "the shell cannot read the command", "look at its quotes and brackets; in YAML, a command with \": \" or \"#\" needs quotes around all of it"},
	{regexp.MustCompile(`"(/[^"]+)": not found`), "$1 is not in the repository", "commit it, and look whether .gitignore or .dockerignore names it; paths count from the source directory"},
}

// closingHints count among the last lines alone: many commands print such a line, and go on.
var closingHints = []hint{
	{regexp.MustCompile(`^\[output clipped, log limit (\S+) reached\]`), "what it said last is lost, because it printed more than $1",
		"let it print less, such as by > /dev/null, and deploy again"},
	{regexp.MustCompile(`(?:^|[\s:'"])([\w./+-]+)['"]?: No such file or directory`), "there is no $1", "commit it, and look whether .gitignore names it; paths count from the source directory"},
	{regexp.MustCompile(`SyntaxError: (.+)`), "a file has a syntax error: $1", "mend it; the lines above say where"},
}

// tools say how to get a command that was not found.
var tools = []struct {
	names []string
	how   string
}{
	{[]string{"node", "npm", "npx"}, "use a runtime of Node.js, such as nodejs22"},
	{[]string{"yarn", "pnpm"}, "run `npm install --global $1` before, on a runtime of Node.js"},
	{[]string{"python", "python3", "pip", "pip3"}, "use a runtime of Python, such as python311, whose commands are python3 and pip3"},
	{[]string{"poetry", "pipenv", "uv", "gunicorn", "uvicorn", "flask", "django-admin"}, "run `pip3 install $1` before, on a runtime of Python"},
	{[]string{"go"}, "use the runtime go1"},
	{[]string{"java", "javac", "mvn", "gradle"}, "use a runtime of Java, such as corretto11"},
	{[]string{"ruby", "gem", "bundle", "rake", "rails"}, "use a runtime of Ruby, such as ruby31"},
	{[]string{"php", "composer"}, "use a runtime of PHP, such as php81"},
	{[]string{"dotnet"}, "use the runtime dotnet6"},
	{[]string{"tsc", "vite", "next", "webpack", "ng", "react-scripts", "nest", "nuxt", "astro", "rollup", "esbuild"},
		"run npm ci before; it must be in package.json, and npm leaves out devDependencies when NODE_ENV is production"},
	{[]string{"docker"}, "do without it: a build makes an image by itself, and `apron deploy --dockerfile` builds a Dockerfile"},
	{[]string{"sudo"}, "leave it out: the commands run as root"},
}

// hintOf finds the cause that the output of a failed step speaks of; an empty one when it speaks of none that is known.
func hintOf(lines []string) (cause, remedy string) {
	if cause, remedy = firstHint(hints, lines); cause != "" {
		return cause, remedy
	}
	return firstHint(closingHints, lines[max(0, len(lines)-closingLines):])
}

func firstHint(hints []hint, lines []string) (cause, remedy string) {
	for _, each := range hints {
		for _, line := range slices.Backward(lines) {
			line = shown.Clean(line)
			found := each.pattern.FindStringSubmatchIndex(line)
			if found == nil || strings.HasPrefix(line, "+ ") { // that is a command of the user's
				continue
			}
			expand := func(text string) string { return string(each.pattern.ExpandString(nil, text, line, found)) }
			cause, remedy = expand(each.cause), expand(each.remedy)
			if remedy == "" {
				remedy = toolRemedy(expand("$1"))
			}
			return cause, remedy
		}
	}
	return "", ""
}

func toolRemedy(tool string) string {
	for _, each := range tools {
		if slices.Contains(each.names, tool) {
			return strings.ReplaceAll(each.how, "$1", tool)
		}
	}
	return "correct its name, or install it in an earlier command"
}

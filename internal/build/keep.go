package build

import (
	"maps"
	"regexp"
)

// keepers are tools that put what the app needs below the home folder, which is no part of the app's image after the build
// phase, or into a cache, which is part of none. Where a command calls one, variables lead it to what is kept.
var keepers = []struct {
	called *regexp.Regexp
	set    map[string]string
}{
	{regexp.MustCompile(`\bpoetry\b`), map[string]string{"POETRY_VIRTUALENVS_IN_PROJECT": "true"}},
	{regexp.MustCompile(`\bpipenv\b`), map[string]string{"PIPENV_VENV_IN_PROJECT": "1"}},
	{regexp.MustCompile(`\bplaywright\b`), map[string]string{"PLAYWRIGHT_BROWSERS_PATH": localDir + "/share/ms-playwright"}},
	{regexp.MustCompile(`\bpuppeteer\b`), map[string]string{"PUPPETEER_CACHE_DIR": localDir + "/share/puppeteer"}},
}

// keptBy returns the variables for the tools that a plan's commands call. The app is given them too, so that it finds what
// they lead to.
func keptBy(plan Plan) map[string]string {
	variables := map[string]string{}
	for _, commands := range plan.Commands {
		for _, command := range commands {
			for _, tool := range keepers {
				if tool.called.MatchString(command) {
					maps.Copy(variables, tool.set)
				}
			}
		}
	}
	return variables
}

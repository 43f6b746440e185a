package detect

import (
	"path"
	"regexp"
	"strings"
)

var (
	requirement = regexp.MustCompile(`(?m)^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)
	// webObject matches the object of a web framework in a module.
	webObject  = regexp.MustCompile(`(?m)^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(Flask|FastAPI|Quart|Starlette|Dash)\(`)
	webFactory = regexp.MustCompile(`(?m)^def (create_app|make_app)\(`)
	runtimeTxt = regexp.MustCompile(`^python-([0-9.]+)`)
	separators = regexp.MustCompile(`[-_.]+`)
	djangoWSGI = regexp.MustCompile(`^[A-Za-z_]\w*$`)
)

// pythonProject is what is read of pyproject.toml and Pipfile.
type pythonProject struct {
	Project struct {
		RequiresPython string   `toml:"requires-python"`
		Dependencies   []string `toml:"dependencies"`
	} `toml:"project"`
	BuildSystem map[string]any `toml:"build-system"`
	Tool        struct {
		Poetry struct {
			Dependencies map[string]any `toml:"dependencies"`
		} `toml:"poetry"`
	} `toml:"tool"`
	// Of a Pipfile.
	Packages map[string]any    `toml:"packages"`
	Requires map[string]string `toml:"requires"`
}

func python(f *folder, found string) app {
	a := app{
		kind: "a Python app (" + found + ")", language: "Python",
		missing: "there is no manage.py, no module with an app of Flask or FastAPI, and no main.py, app.py or server.py",
	}
	var project pythonProject
	if f.has("pyproject.toml") {
		f.toml("pyproject.toml", &project)
	}
	if f.has("Pipfile") {
		f.toml("Pipfile", &project)
	}
	packages := pythonPackages(f, project)
	a.wanted = pythonVersion(f, project)
	installPython(f, &a, project)
	startPython(f, &a, packages)
	return a
}

// pythonPackages are the names of what the app depends on, in the form that they are compared in.
func pythonPackages(f *folder, project pythonProject) map[string]bool {
	packages := map[string]bool{}
	add := func(name string) {
		if match := requirement.FindStringSubmatch(name); match != nil {
			packages[separators.ReplaceAllString(strings.ToLower(match[1]), "-")] = true
			if strings.Contains(name, "[standard]") && strings.HasPrefix(strings.ToLower(match[1]), "fastapi") {
				packages["uvicorn"] = true
			}
		}
	}
	for line := range strings.Lines(f.read("requirements.txt")) {
		add(line)
	}
	for _, name := range project.Project.Dependencies {
		add(name)
	}
	for _, set := range []map[string]any{project.Tool.Poetry.Dependencies, project.Packages} {
		for name := range set {
			add(name)
		}
	}
	return packages
}

func pythonVersion(f *folder, project pythonProject) wanted {
	if version := f.line(".python-version"); version != "" {
		return wanted{strings.TrimPrefix(version, "python-"), ".python-version"}
	}
	if match := runtimeTxt.FindStringSubmatch(f.line("runtime.txt")); match != nil {
		return wanted{match[1], "runtime.txt"}
	}
	if text := project.Project.RequiresPython; text != "" {
		return wanted{text, "pyproject.toml (requires-python)"}
	}
	if text, ok := project.Tool.Poetry.Dependencies["python"].(string); ok {
		return wanted{text, "pyproject.toml (tool.poetry.dependencies)"}
	}
	if version := project.Requires["python_version"]; version != "" {
		return wanted{version, "Pipfile"}
	}
	return wanted{}
}

// locked is where a tool's lock file is written down in pip's form.
const locked = "/tmp/requirements.txt"

func installPython(f *folder, a *app, project pythonProject) {
	// Tools are installed apart, so that what they need cannot meet what the app needs.
	tool := func(why, packages, export string) {
		a.run("python3 -m venv /tmp/tool", why)
		a.run("/tmp/tool/bin/pip install "+packages, "the tool itself, apart from the app")
		a.run("/tmp/tool/bin/"+export, "what is locked, in pip's form")
		a.run("pip3 install -r "+locked, "")
	}
	switch {
	case f.has("requirements.txt"):
		a.run("pip3 install -r requirements.txt", "requirements.txt names the packages")
	case f.has("uv.lock"):
		tool("uv.lock is uv's", "uv", "uv export --frozen --no-dev --no-emit-project --output-file "+locked)
	case f.has("poetry.lock") || len(project.Tool.Poetry.Dependencies) > 0:
		why := "poetry.lock is Poetry's"
		if !f.has("poetry.lock") {
			why = "pyproject.toml is Poetry's"
			a.notice("there is no poetry.lock, so the versions of packages may change from build to build: commit it")
		}
		tool(why, "poetry poetry-plugin-export", "poetry export --without-hashes --output "+locked)
	case f.has("Pipfile"):
		tool("Pipfile is pipenv's", "pipenv", "pipenv requirements > "+locked)
		if !f.has("Pipfile.lock") {
			a.build[len(a.build)-2] = command{"/tmp/tool/bin/pipenv lock && /tmp/tool/bin/pipenv requirements > " + locked, "there is no Pipfile.lock yet"}
			a.notice("there is no Pipfile.lock, so the versions of packages may change from build to build: commit it")
		}
	case len(project.BuildSystem) > 0:
		a.run("pip3 install .", "pyproject.toml is a package's")
	case len(project.Project.Dependencies) > 0:
		a.run(`python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > `+locked,
			"the dependencies of pyproject.toml, which is no package's")
		a.run("pip3 install -r "+locked, "")
	}
}

// pythonModules are the files that an app's object is looked for in.
var pythonModules = []string{
	"main.py", "app.py", "server.py", "application.py", "wsgi.py", "asgi.py", "api.py", "run.py", "index.py",
	"app/main.py", "app/app.py", "app/__init__.py", "api/main.py", "src/main.py", "src/app.py",
}

func startPython(f *folder, a *app, packages map[string]bool) {
	need := func(name, why string) {
		if !packages[name] {
			a.run("pip3 install "+name, why+", and the app's own packages have no "+name)
		}
	}
	if f.has("manage.py") && startDjango(f, a, packages, need) {
		return
	}
	if file := f.first("streamlit_app.py", "app.py", "main.py"); packages["streamlit"] && file != "" {
		a.start = command{"streamlit run " + file + " --server.address 0.0.0.0 --server.port $PORT --server.headless true", "the app's packages have streamlit"}
		return
	}
	for _, file := range pythonModules {
		text := f.head(file)
		folder, module := pythonModule(file)
		match := webObject.FindStringSubmatch(text)
		isASGI := packages["fastapi"] || packages["starlette"]
		var object, what string
		switch {
		case match != nil:
			isASGI = match[2] == "FastAPI" || match[2] == "Starlette" || match[2] == "Quart"
			object, what = match[1], file+" has "+match[1]+", an app of "+match[2]
			if match[2] == "Dash" {
				object += ".server"
			}
		case (packages["flask"] || isASGI) && webFactory.MatchString(text):
			object, what = webFactory.FindStringSubmatch(text)[1], file+" has a function that makes the app"
		default:
			continue
		}
		if isASGI {
			need("uvicorn", "something must serve the app")
			start := "uvicorn " + folder.option("--app-dir") + module + ":" + object + " --host 0.0.0.0 --port $PORT"
			if match == nil {
				start += " --factory"
			}
			a.start = command{start, what}
			return
		}
		need("gunicorn", "something must serve the app")
		if match == nil {
			object = "'" + module + ":" + object + "()'"
		} else {
			object = module + ":" + object
		}
		a.start = command{"gunicorn " + folder.option("--chdir") + "--bind 0.0.0.0:$PORT " + object, what}
		return
	}
	file := f.first("main.py", "app.py", "server.py", "run.py", "index.py", "src/main.py")
	if all := f.filesWith(".", ".py"); file == "" && len(all) == 1 && plainName.MatchString(all[0]) && all[0] != "setup.py" {
		file = all[0]
	}
	if file != "" {
		a.start = command{"python3 " + file, file + " is there, with no framework that has a server of its own"}
	}
	if packages["gradio"] {
		a.env = append(a.env, variable{"GRADIO_SERVER_NAME", "0.0.0.0", "where Gradio listens"}, variable{"GRADIO_SERVER_PORT", "8080", ""})
	}
}

// startDjango finds the module of the project. False is none.
func startDjango(f *folder, a *app, packages map[string]bool, need func(name, why string)) bool {
	for _, project := range f.folders(".") {
		if !djangoWSGI.MatchString(project) || !f.has(path.Join(project, "wsgi.py")) {
			continue
		}
		a.kind = "a Django app (manage.py)"
		need("gunicorn", "something must serve the app")
		if packages["whitenoise"] {
			a.run("python3 manage.py collectstatic --noinput", "whitenoise serves what this collects")
		}
		a.start = command{"gunicorn --bind 0.0.0.0:$PORT " + project + ".wsgi", project + "/wsgi.py is Django's"}
		return true
	}
	return false
}

// sourceFolder is a folder that is no package, "" for none.
type sourceFolder string

// option is a flag that names the folder, with a space behind it.
func (s sourceFolder) option(flag string) string {
	if s == "" {
		return ""
	}
	return flag + " " + string(s) + " "
}

// pythonModule says how a file is imported, and from which folder.
func pythonModule(file string) (folder sourceFolder, module string) {
	if inside, isBelow := strings.CutPrefix(file, "src/"); isBelow {
		folder, file = "src", inside
	}
	return folder, strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(file, ".py"), "/__init__"), "/", ".")
}

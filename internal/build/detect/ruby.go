package detect

import "regexp"

var (
	gem         = regexp.MustCompile(`(?m)^\s*gem\s+['"]([A-Za-z0-9_-]+)['"]`)
	rubyVersion = regexp.MustCompile(`(?m)^\s*ruby\s+['"]([^'"]+)['"]`)
)

func ruby(f *folder, found string) app {
	a := app{
		kind: "a Ruby app (Gemfile)", language: "Ruby",
		missing: "there is no config.ru, no Rails and no app.rb",
		env:     []variable{{"RACK_ENV", "production", "what Rack's servers ask for in production"}},
	}
	text := f.read(found)
	gems := map[string]bool{}
	for _, match := range gem.FindAllStringSubmatch(text, -1) {
		gems[match[1]] = true
	}
	if version := f.line(".ruby-version"); version != "" {
		a.wanted = wanted{regexp.MustCompile(`^ruby-`).ReplaceAllString(version, ""), ".ruby-version"}
	} else if match := rubyVersion.FindStringSubmatch(text); match != nil {
		a.wanted = wanted{match[1], "Gemfile"}
	}
	a.run("bundle config set --local path vendor/bundle", "in the app's own folder, which the app is started in")
	a.run("bundle config set --local without development:test", "the app needs neither group")
	if f.has("Gemfile.lock") {
		a.run("bundle install", "Gemfile.lock names the versions")
	} else {
		a.run("bundle install", "Gemfile names the gems")
		a.notice("there is no Gemfile.lock, so the versions of gems may change from build to build: commit it")
	}
	server := func() (string, string) {
		if gems["puma"] {
			return "bundle exec puma -b tcp://0.0.0.0:$PORT", "Gemfile has puma"
		}
		return "bundle exec rackup --host 0.0.0.0 --port $PORT", "config.ru is Rack's"
	}
	switch {
	case gems["rails"] || f.has("bin/rails"):
		a.kind = "a Rails app (Gemfile)"
		if f.hasFolder("app/assets") {
			a.run("SECRET_KEY_BASE_DUMMY=1 RAILS_ENV=production bundle exec rails assets:precompile", "app/assets has what browsers get")
		}
		a.start = command{"bundle exec rails server -b 0.0.0.0 -p $PORT", "Gemfile has rails"}
		a.env = []variable{
			{"RAILS_ENV", "production", "Rails in production; it also needs SECRET_KEY_BASE or RAILS_MASTER_KEY, as a secret of the service"},
			{"RAILS_LOG_TO_STDOUT", "true", "so that the log is in the service's log"},
			{"RAILS_SERVE_STATIC_FILES", "true", "nothing else serves public/"},
		}
		a.notice("Rails needs SECRET_KEY_BASE or RAILS_MASTER_KEY: give the service one as a secret")
	case f.has("config.ru"):
		text, why := server()
		a.start = command{text, why}
	case f.first("app.rb", "server.rb", "main.rb") != "":
		file := f.first("app.rb", "server.rb", "main.rb")
		a.start = command{"bundle exec ruby " + file, file + " is there"}
		a.env = append(a.env, variable{"APP_ENV", "production", "Sinatra in production listens on all addresses"})
	}
	return a
}

package detect

func php(f *folder, found string) app {
	a := app{kind: "a PHP app (" + found + ")", language: "PHP", missing: "there is no index.php at the root or in public/ or web/"}
	var composer struct {
		Require map[string]string `json:"require"`
	}
	if f.has("composer.json") {
		f.json("composer.json", &composer)
		a.wanted = wanted{composer.Require["php"], "composer.json"}
		a.run("composer install --no-dev --optimize-autoloader --no-interaction", "composer.json names the packages")
		if !f.has("composer.lock") {
			a.notice("there is no composer.lock, so the versions of packages may change from build to build: commit it")
		}
	}
	if a.wanted.text == "" {
		a.wanted = wanted{}
	}
	index := f.first("public/index.php", "web/index.php", "index.php")
	switch {
	case f.has("artisan"):
		a.kind = "a Laravel app (" + found + ")"
		a.start = command{"php artisan serve --host 0.0.0.0 --port $PORT", "artisan is Laravel's"}
		a.notice("Laravel needs APP_KEY: give the service one as a secret")
	case index == "index.php":
		a.start = command{"php -S 0.0.0.0:$PORT", "index.php is at the root"}
	case index != "":
		folder := index[:len(index)-len("/index.php")]
		a.start = command{"php -S 0.0.0.0:$PORT -t " + folder, index + " is there"}
	}
	if a.start.text != "" {
		a.env = []variable{{"PHP_CLI_SERVER_WORKERS", "4", "how many requests PHP's server answers at a time"}}
	}
	return a
}

package detect

import (
	"regexp"
	"strings"
)

var (
	mavenVersion = regexp.MustCompile(`<(java\.version|maven\.compiler\.release|maven\.compiler\.target|maven\.compiler\.source|release)>\s*([0-9][0-9.]*)\s*<`)
	// Gradle's ways to write a version, in Groovy and in Kotlin.
	gradleVersion = regexp.MustCompile(`(?:JavaLanguageVersion\.of\(|JavaVersion\.VERSION_|jvmToolchain\(|(?:source|target)Compatibility\s*=\s*['"]?)([0-9][0-9._]*)`)
	jdkFile       = regexp.MustCompile(`(?m)^(?:java|java\.runtime\.version)\s*=\s*([0-9][0-9.]*)`)
)

// theJar copies the one jar that can be started to a name that does not change with the version.
const theJar = `find DIR -maxdepth 1 -name '*.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' ! -name '*-tests.jar' ! -name '*-plain.jar' ! -name 'original-*' -exec cp {} app.jar ';'`

func java(f *folder, found string) app {
	a := app{kind: "a Java app (" + found + ")", language: "Java"}
	text := f.read(found)
	a.wanted = javaVersion(f, found, text)
	for _, framework := range []struct{ sign, name, variable string }{
		{"springframework", "Spring Boot", "SERVER_PORT"},
		{"quarkus", "Quarkus", "QUARKUS_HTTP_PORT"},
		{"micronaut", "Micronaut", "MICRONAUT_SERVER_PORT"},
	} {
		if strings.Contains(text, framework.sign) {
			a.env = []variable{{framework.variable, "8080", "where " + framework.name + " listens"}}
		}
	}
	if found == "pom.xml" {
		maven(f, &a, text)
	} else {
		gradle(f, &a, text, found)
	}
	return a
}

func maven(f *folder, a *app, text string) {
	tool, why := "mvn", "pom.xml is Maven's"
	if f.has("mvnw") {
		tool, why = "sh ./mvnw", "mvnw brings the project's own Maven"
	}
	a.run(tool+" -B -DskipTests package", why)
	switch {
	case strings.Contains(text, "quarkus"):
		a.start = command{"java -jar target/quarkus-app/quarkus-run.jar", "pom.xml names Quarkus"}
	case strings.Contains(text, "<packaging>war</packaging>"):
		a.missing = "pom.xml makes a war, which needs a server of its own"
	case strings.Contains(text, "<modules>"):
		a.missing = "pom.xml has modules, and does not say which is the server"
	default:
		a.run(strings.Replace(theJar, "DIR", "target", 1), "the jar that starts, without those beside it")
		a.start = command{"java -jar app.jar", "what the build makes"}
	}
}

func gradle(f *folder, a *app, text, found string) {
	if a.wanted.text == "" {
		a.wanted = wanted{"21", "Gradle, most versions of which know no newer Java,"}
	}
	tool, why := "gradle", found+" is Gradle's"
	if f.has("gradlew") {
		tool, why = "sh ./gradlew", "gradlew brings the project's own Gradle"
	}
	task := func(name string) { a.run(tool+" --no-daemon "+name, why) }
	jar := func() {
		a.run(strings.Replace(theJar, "DIR", "build/libs", 1), "the jar that starts, without those beside it")
		a.start = command{"java -jar app.jar", "what the build makes"}
	}
	switch {
	case strings.Contains(text, "io.quarkus"):
		task("build -x test")
		a.start = command{"java -jar build/quarkus-app/quarkus-run.jar", found + " names Quarkus"}
	case strings.Contains(text, "org.springframework.boot"):
		task("bootJar")
		jar()
	case strings.Contains(text, "shadow"):
		task("shadowJar")
		a.run(strings.Replace(strings.Replace(theJar, "DIR", "build/libs", 1), "'*.jar'", "'*-all.jar'", 1), "the jar that has all in it")
		a.start = command{"java -jar app.jar", "what the build makes"}
	case strings.Contains(text, "application"):
		task("installDist")
		a.run("cp -r build/install/*/. build/app", "under a name that is not the project's")
		a.start = command{`sh "$(find build/app/bin -type f ! -name '*.bat' | head -n 1)"`, "the plugin application makes a script that starts the app"}
	default:
		task("build -x test")
		jar()
	}
}

func javaVersion(f *folder, found, text string) wanted {
	for _, file := range []string{"system.properties", ".sdkmanrc"} {
		if match := jdkFile.FindStringSubmatch(f.read(file)); match != nil {
			return wanted{match[1], file}
		}
	}
	if version := f.line(".java-version"); version != "" {
		return wanted{strings.TrimLeft(version, "abcdefghijklmnopqrstuvwxyz-"), ".java-version"}
	}
	if match := mavenVersion.FindStringSubmatch(text); found == "pom.xml" && match != nil {
		return wanted{match[2], "pom.xml (" + match[1] + ")"}
	}
	if match := gradleVersion.FindStringSubmatch(text); found != "pom.xml" && match != nil {
		return wanted{strings.ReplaceAll(match[1], "_", "."), found}
	}
	return wanted{}
}

package apprunner

import (
	"strconv"
	"unicode/utf8"
)

// A path names a member from the top: SourceConfiguration.ImageRepository.ImageIdentifier, Tags[2].Key,
// RuntimeEnvironmentVariables["PORT"].

// memberStep, indexStep and keyStep are one step of a path.
func memberStep(name string) string { return "." + name }

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

// keyStep keeps a key that a client made up short.
func keyStep(key string) string { return "[" + quoteShort(key) + "]" }

// trimPath makes a path of joined steps.
func trimPath(steps string) string {
	if steps != "" && steps[0] == '.' {
		return steps[1:]
	}
	return steps
}

// maxShown is how many characters of a client's own text an error repeats.
const maxShown = 64

// quoteShort quotes a client's text so that it stays one short line.
func quoteShort(text string) string {
	if utf8.RuneCountInString(text) <= maxShown {
		return strconv.Quote(text)
	}
	count := 0
	for i := range text {
		if count == maxShown {
			return strconv.Quote(text[:i] + "…")
		}
		count++
	}
	return strconv.Quote(text)
}

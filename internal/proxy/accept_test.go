package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestTheProxysOwnAnswersHaveTheFormThatTheClientLikes(t *testing.T) {
	const html, plain, program = "text/html", "text/plain", "application/json"
	for accept, want := range map[string]string{
		"": program, "*/*": program, "application/json": program, "application/*": program, "application/problem+json": program,
		"application/json, text/plain, */*": program, "*/*;q=0.5, text/javascript, application/javascript": program,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8": html, "text/html": html, "TEXT/HTML;level=1": html,
		"text/html;q=0.5, application/json": program, "text/html, application/json;q=0.5": html, "text/*": html,
		"text/plain": plain, "text/plain, */*;q=0.1": plain, "text/html;q=0, text/plain": plain, "image/png": program,
		"text/html;q=0": program, "application/json;q=0, */*": html, "text/html;q=2": html, "text/html;q=0.8, text/html;q=0.1, application/json;q=0.5": html,
		";;,,=": program,
	} {
		kind, body := (&refusal{status: http.StatusBadGateway, message: `It said "<no>".`}).body([]string{accept})
		if !strings.HasPrefix(kind, want) {
			t.Errorf("%q gets %s, want %s", accept, kind, want)
		}
		var answer struct {
			Status         int
			Error, Message string
		}
		if want == program && (json.Unmarshal(body, &answer) != nil || answer.Status != 502 || answer.Error != "Bad Gateway" || answer.Message != `It said "<no>".`) {
			t.Errorf("the answer for programs is %s", body)
		}
		if strings.Contains(string(body), "<no>") && want == html {
			t.Errorf("the page has the message as it is: %s", body)
		}
	}
}

package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/apron-run/apron/apprunner"
)

// pager makes and reads pagination tokens. A token is the place after which a list goes on, authenticated together
// with the action and the parameters of the list, so that it is of use for nothing else.
type pager struct{ key []byte }

// place is the last row of a page.
type place struct {
	Micros int64  `json:"t"`
	ID     string `json:"i"`
	// Of is the ARN of what the list is of, where the parameters could come to mean another one between two pages.
	Of string `json:"o,omitempty"`
}

func placeOf(at time.Time, id string) place { return place{Micros: at.UnixMicro(), ID: id} }

func (p place) time() time.Time { return time.UnixMicro(p.Micros).UTC() }

// token names the place for the action's list. subject is what the list is of: the parameters that may not change.
func (p pager) token(action apprunner.Action, subject string, at place) *apprunner.String {
	raw, err := json.Marshal(at)
	if err != nil {
		panic(err) // a number and a string always encode
	}
	raw = append(p.mac(action, subject, raw), raw...)
	return new(apprunner.String(base64.RawURLEncoding.EncodeToString(raw)))
}

// place reads a token. An absent or empty one is the start: nil.
func (p pager) place(action apprunner.Action, subject string, token *apprunner.String) (*place, error) {
	if token == nil || *token == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(*token))
	if err != nil || len(raw) < sha256.Size || !hmac.Equal(raw[:sha256.Size], p.mac(action, subject, raw[sha256.Size:])) {
		return nil, invalidRequest("NextToken is not a token that %s gave for these parameters.", action.Name)
	}
	at := new(place)
	if err := json.Unmarshal(raw[sha256.Size:], at); err != nil {
		return nil, err // it was ours, so it must decode
	}
	return at, nil
}

func (p pager) mac(action apprunner.Action, subject string, raw []byte) []byte {
	h := hmac.New(sha256.New, p.key)
	for _, part := range [][]byte{[]byte(action.Target), []byte(subject)} {
		h.Write(part) // never fails (hash.Hash)
		h.Write([]byte{0})
	}
	h.Write(raw)
	return h.Sum(nil)
}

// page cuts a list that was asked for one row longer than max, and says whether there is more. max 0 means all.
func page[T any](rows []T, max int) (kept []T, isMore bool) {
	if max == 0 || len(rows) <= max {
		return rows, false
	}
	return rows[:max], true
}

// limitOf is how many rows to ask the store for: one more than the page, to know whether it is the last.
func limitOf[N ~int32](max *N) (pageSize, limit int) {
	if max == nil {
		return 0, 0
	}
	return int(*max), int(*max) + 1
}

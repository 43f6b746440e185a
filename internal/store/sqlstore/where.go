package sqlstore

import (
	"strconv"
	"strings"
)

// where gathers the conditions of a query that not every caller has, with their values.
type where struct {
	conditions []string
	args       []any
}

// and adds a condition, in which each ? stands for the next value.
func (w *where) and(condition string, values ...any) {
	for _, value := range values {
		condition = strings.Replace(condition, "?", w.bind(value), 1)
	}
	w.conditions = append(w.conditions, condition)
}

// bind adds a value and returns what stands for it in the text.
func (w *where) bind(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

// text is the WHERE clause; empty without a condition.
func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

package apprunner

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// RuleType is broken by a text that is no value of the scalar at all.
const RuleType Rule = "type"

// FromString returns the scalar that text says, and checks it against its limits: a string or an enum as it is, an
// integer in decimal, true or false, a time in ISO 8601 or as epoch seconds. The error is a *ValidationError whose path
// is the scalar's name in the service model. It panics for a T that is no scalar.
//
// Only here is an unknown text of an enum an error: the decoders keep it, as an older client must be able to.
func FromString[T any](text string) (T, error) {
	var scalar T
	target := reflect.ValueOf(&scalar).Elem()
	s := shapeOf(target.Type())
	if !s.isScalar() {
		panic(fmt.Sprintf("apprunner: %T is no scalar", scalar))
	}
	found := validator{steps: []step{{kind: kindStructure, name: s.modelName()}}}
	value, problem := s.parseText(text)
	switch {
	case problem == ProblemWrongType:
		found.add(RuleType, "is %s, and must be %s", quoteShort(text), s.wantedText())
	case problem != "":
		found.add(RuleType, "%s", string(problem))
	case s.fromValue(value, target, 0) == nil:
		found.check(s, target)
	}
	if len(found.violations) > 0 {
		var none T
		return none, &ValidationError{found.violations}
	}
	return scalar, nil
}

func (s *shape) isScalar() bool {
	return s.kind != kindStructure && s.kind != kindList && s.kind != kindMap
}

// modelName is the shape's name in the service model, whose initialisms are spelled otherwise than Go's. A boolean has
// several names there, which are all of one type here.
func (s *shape) modelName() string {
	switch {
	case s.limits != nil && s.limits.shape != "":
		return s.limits.shape
	case s.kind == kindBoolean:
		return "Boolean"
	case s.kind == kindTimestamp:
		return "Timestamp"
	default:
		return strings.NewReplacer("VPC", "Vpc", "ARN", "Arn").Replace(s.goType.Name())
	}
}

// parseText reads a scalar from the text of a form or of XML. problem is empty when all was well; it never repeats the
// text, which may be sensitive.
func (s *shape) parseText(text string) (value Value, problem DecodeProblem) {
	switch s.kind {
	case kindString:
		if !utf8.ValidString(text) {
			return nil, ProblemInvalidUTF8
		}
		return s.toText(text), ""
	case kindBoolean:
		if text == "true" || text == "false" {
			return BooleanValue(text == "true"), ""
		}
	case kindInteger:
		// There is one way to write a number: no sign that says nothing, and no zero in front.
		number, err := strconv.ParseInt(text, 10, 32)
		if err == nil && strconv.FormatInt(number, 10) == text {
			return IntegerValue(number), ""
		}
	case kindTimestamp:
		if at, ok := parseTimestamp(text); ok {
			return TimestampValue(at), ""
		}
	}
	return nil, ProblemWrongType
}

// wantedText says what parseText takes.
func (s *shape) wantedText() string {
	switch s.kind {
	case kindInteger:
		return "an integer of 32 bits"
	case kindTimestamp:
		return "a time such as 2020-05-15T12:00:00Z"
	default:
		return s.kind.String()
	}
}

var (
	// time.Parse alone takes hours of one digit and commas, which ISO 8601 in this profile has not.
	isoTime      = regexp.MustCompile(`\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\z`)
	epochSeconds = regexp.MustCompile(`\A-?(0|[1-9]\d{0,11})(\.\d{1,9})?\z`)
)

// parseTimestamp reads a time of the years 1 to 9999, to the microsecond.
func parseTimestamp(text string) (time.Time, bool) {
	var at time.Time
	switch {
	case isoTime.MatchString(text):
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return time.Time{}, false
		}
		at = parsed.UTC().Truncate(time.Microsecond)
	case epochSeconds.MatchString(text):
		// Digits are read as such: a float would round the last of them.
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		micros, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		if text[0] == '-' {
			micros = -micros
		}
		at = time.UnixMicro(micros).UTC()
	default:
		return time.Time{}, false
	}
	return at, at.Year() >= 1 && at.Year() <= 9999
}

// formatTimestamp writes ISO 8601 to the millisecond, as the JSON does, with the digits that botocore has: none or six.
func formatTimestamp(at time.Time) string {
	at = time.UnixMilli(at.UnixMilli()).UTC()
	if at.Nanosecond() == 0 {
		return at.Format("2006-01-02T15:04:05Z")
	}
	return at.Format("2006-01-02T15:04:05.000000Z")
}

// scalarText is a scalar as a form or XML has it.
func scalarText(value Value) string {
	switch value := value.(type) {
	case StringValue:
		return string(value)
	case EnumValue:
		return string(value)
	case IntegerValue:
		return strconv.FormatInt(int64(value), 10)
	case BooleanValue:
		return strconv.FormatBool(bool(value))
	case TimestampValue:
		return formatTimestamp(time.Time(value))
	default:
		panic(fmt.Sprintf("apprunner: %T is no scalar", value))
	}
}

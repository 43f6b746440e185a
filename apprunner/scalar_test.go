package apprunner

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestScalarsAreReadFromText(t *testing.T) {
	at := time.UnixMicro(1_589_544_000_123_456).UTC()
	cases := []struct {
		text string
		read func(text string) (any, error)
		// want is the value, or the rule that is broken.
		want any
		path string
	}{
		{"web1", read[ServiceName], ServiceName("web1"), ""},
		{"web", read[ServiceName], RuleMinLength, "ServiceName"},
		{strings.Repeat("a", 41), read[ServiceName], RuleMaxLength, "ServiceName"},
		{"-web", read[ServiceName], RulePattern, "ServiceName"},
		{"web\xff", read[ServiceName], RuleType, "ServiceName"},
		{"", read[TagValue], TagValue(""), ""},
		{"arn", read[AppRunnerResourceARN], RulePattern, "AppRunnerResourceArn"},
		{"my name", read[VPCConnectorName], RulePattern, "VpcConnectorName"},
		{"application", read[StreamName], StreamName("application"), ""},
		{"applications", read[StreamName], RulePattern, "StreamName"},
		{"PYTHON_311", read[Runtime], RuntimePython311, ""},
		{"PERL_5", read[Runtime], RuleEnum, "Runtime"},
		{"ACTIVE", read[AutoScalingConfigurationStatus], RuleEnum, "AutoScalingConfigurationStatus"},
		{"active", read[AutoScalingConfigurationStatus], AutoScalingConfigurationStatusActive, ""},
		{"20", read[ServiceMaxResults], ServiceMaxResults(20), ""},
		{"21", read[ServiceMaxResults], RuleMax, "ServiceMaxResults"},
		{"0", read[ServiceMaxResults], RuleMin, "ServiceMaxResults"},
		{"-2147483648", read[Integer], Integer(math.MinInt32), ""},
		{"2147483648", read[Integer], RuleType, "Integer"},
		{"+1", read[Integer], RuleType, "Integer"},
		{"-0", read[Integer], RuleType, "Integer"},
		{"1.0", read[Integer], RuleType, "Integer"},
		{" 1", read[Integer], RuleType, "Integer"},
		{"", read[Integer], RuleType, "Integer"},
		{"true", read[bool], true, ""},
		{"false", read[NullableBoolean], false, ""},
		{"1", read[bool], RuleType, "Boolean"},
		{"2020-05-15T12:00:00.123456Z", read[time.Time], at, ""},
		{"2020-05-15T14:00:00.123456999+02:00", read[time.Time], at, ""},
		{"1589544000.123456", read[time.Time], at, ""},
		{"1589544000.1234569", read[Timestamp], at, ""},
		{"-0.001", read[time.Time], time.UnixMilli(-1).UTC(), ""},
		{"0", read[time.Time], time.Unix(0, 0).UTC(), ""},
		{"253402300799", read[time.Time], time.Unix(lastSecond, 0).UTC(), ""},
		{"9999-12-31T23:59:59Z", read[time.Time], time.Unix(lastSecond, 0).UTC(), ""},
		{"0001-01-01T00:00:00Z", read[time.Time], time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), ""},
		{"253402300800", read[time.Time], RuleType, "Timestamp"},
		{"9999-12-31T23:59:59-01:00", read[time.Time], RuleType, "Timestamp"},
		{"0000-12-31T00:00:00Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15T12:00:00", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15 12:00:00Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15T1:00:00Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-02-30T12:00:00Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15T24:00:00Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15T12:00:00,5Z", read[time.Time], RuleType, "Timestamp"},
		{"2020-05-15T12:00:00Z\n", read[time.Time], RuleType, "Timestamp"},
		{"1e9", read[time.Time], RuleType, "Timestamp"},
		{"NaN", read[time.Time], RuleType, "Timestamp"},
		{"", read[time.Time], RuleType, "Timestamp"},
	}
	for _, c := range cases {
		got, err := c.read(c.text)
		var broken *ValidationError
		if errors.As(err, &broken) {
			got = broken.Violations[0].Rule
			if path := broken.Violations[0].Path; len(broken.Violations) != 1 || path != c.path || c.path == "" {
				t.Errorf("%.50q: got %v, want one violation of %s", c.text, broken, c.path)
			}
		}
		if at, isTime := got.(time.Time); isTime {
			if wanted, isWanted := c.want.(time.Time); !isWanted || !at.Equal(wanted) || at.Location() != time.UTC {
				t.Errorf("%q: got %v, want %v", c.text, at, c.want)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%.50q: got %v (%v), want %v", c.text, got, err, c.want)
		}
	}
	if _, err := FromString[StartCommand]("run --password hunter2\n"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a sensitive value: %v", err)
	}
}

func read[T any](text string) (any, error) {
	value, err := FromString[T](text)
	return value, err
}

// Every scalar is read from the text that the form and XML have of it, unless a limit forbids it.
func TestEveryScalarIsReadFromItsOwnText(t *testing.T) {
	g := newGenerator(t)
	count := 0
	for _, s := range everyShape() {
		if !s.isScalar() {
			continue
		}
		count++
		for range rounds {
			value := newValue(g, s)
			parsed, problem := s.parseText(scalarText(s.toValue(value)))
			if problem != "" || scalarText(parsed) != scalarText(s.toValue(value)) {
				t.Fatalf("%s: %v is read as %v (%s)", s.goType, value, parsed, problem)
			}
		}
	}
	if count < 50 {
		t.Errorf("there are only %d scalars", count)
	}
}

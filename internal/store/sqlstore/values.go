package sqlstore

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// micros keeps a time as microseconds since 1970. It both binds and scans.
type micros struct{ at *time.Time }

func (m micros) Value() (driver.Value, error) { return m.at.UnixMicro(), nil }

func (m micros) Scan(value any) error {
	count, ok := value.(int64)
	if !ok {
		return fmt.Errorf("read a time from %T", value)
	}
	*m.at = time.UnixMicro(count).UTC()
	return nil
}

// optionalMicros is micros for a time that may be missing.
type optionalMicros struct{ at **time.Time }

func (m optionalMicros) Value() (driver.Value, error) {
	if *m.at == nil {
		return nil, nil
	}
	return (*m.at).UnixMicro(), nil
}

func (m optionalMicros) Scan(value any) error {
	if value == nil {
		*m.at = nil
		return nil
	}
	var at time.Time
	if err := (micros{&at}).Scan(value); err != nil {
		return err
	}
	*m.at = &at
	return nil
}

// document keeps what its pointer points to as JSON. It both binds and scans.
type document struct{ of any }

func (d document) Value() (driver.Value, error) {
	text, err := json.Marshal(d.of)
	return string(text), err
}

func (d document) Scan(value any) error {
	var text []byte
	switch value := value.(type) {
	case string:
		text = []byte(value)
	case []byte:
		text = value
	default:
		return fmt.Errorf("read JSON from %T", value)
	}
	return json.Unmarshal(text, d.of)
}

// limit is the LIMIT of a page; 0 means all.
func limit(n int) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return int64(n)
}

package apprunner

import (
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// EncodeJSON returns the JSON of the structure that v points to: compact, members in the order of their definition,
// absent ones left out, required lists always there, keys of maps in order. It does not validate.
func EncodeJSON(v any) []byte { return AppendJSON(make([]byte, 0, usualSize), v) }

// usualSize holds the answer of most actions, a full service among them.
const usualSize = 2048

// AppendJSON is EncodeJSON onto dst.
func AppendJSON(dst []byte, v any) []byte {
	value, s := structureOf(v)
	return s.appendStructure(dst, value)
}

func (s *shape) append(dst []byte, value reflect.Value) []byte {
	switch s.kind {
	case kindStructure:
		return s.appendStructure(dst, value)
	case kindList:
		return s.appendList(dst, value)
	case kindMap:
		return s.appendMap(dst, value)
	case kindInteger:
		return strconv.AppendInt(dst, value.Int(), 10)
	case kindBoolean:
		return strconv.AppendBool(dst, value.Bool())
	case kindTimestamp:
		return appendTimestamp(dst, *value.Addr().Interface().(*time.Time))
	default:
		return appendString(dst, value.String())
	}
}

func (s *shape) appendStructure(dst []byte, value reflect.Value) []byte {
	dst = append(dst, '{')
	isFirst := true
	for i := range s.members {
		m := &s.members[i]
		field := value.Field(m.index)
		if field.IsNil() && !(m.isRequired && m.shape.kind == kindList) {
			continue
		}
		if m.isPointer {
			field = field.Elem()
		}
		if !isFirst {
			dst = append(dst, ',')
		}
		isFirst = false
		dst = append(dst, m.prefix...)
		dst = m.shape.append(dst, field)
	}
	return append(dst, '}')
}

func (s *shape) appendList(dst []byte, value reflect.Value) []byte {
	dst = append(dst, '[')
	for i := range value.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.element.append(dst, value.Index(i))
	}
	return append(dst, ']')
}

func (s *shape) appendMap(dst []byte, value reflect.Value) []byte {
	dst = append(dst, '{')
	for i, key := range sortedKeys(value) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, key.String())
		dst = append(dst, ':')
		dst = s.element.append(dst, value.MapIndex(key))
	}
	return append(dst, '}')
}

func sortedKeys(value reflect.Value) []reflect.Value {
	keys := value.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	return keys
}

// appendTimestamp writes epoch seconds with three decimals. There is always a fraction, because a known client refuses
// a whole number.
func appendTimestamp(dst []byte, at time.Time) []byte {
	millis := at.UnixMilli()
	if millis < 0 {
		dst = append(dst, '-')
		millis = -millis
	}
	dst = strconv.AppendInt(dst, millis/1000, 10)
	fraction := millis % 1000
	return append(dst, '.', byte('0'+fraction/100), byte('0'+fraction/10%10), byte('0'+fraction%10))
}

// appendString writes a JSON string. Bytes that are not UTF-8, which output of programs may contain, become U+FFFD.
func appendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, text[start:i]...)
				dst = append(dst, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

package conformance

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The texts in angle brackets that an expectation may hold.
//
//	<any>          something is there
//	<absent>       nothing is there
//	<empty>        nothing, an empty text or an empty list
//	<32hex>        an id
//	<text>         a text that is not empty
//	<time>         seconds since 1970, of about now
//	<host>         a DNS name, with a port or without
//	<arn:TAIL>     an ARN of this region whose part after the account is TAIL and an id
//	<builtin:TAIL> an ARN of this region whose part after the account is TAIL
//	<one:A|B>      one of the texts
//	<holds:TEXT>   a text that holds TEXT
var (
	hexID    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]+(:[0-9]+)?$`)
)

// maxAge is how old a time of the service may be: as old as a run.
const maxAge = time.Hour

// match says where and how got differs from what is wanted; nothing when it does not. path is got's.
func match(path string, want, got any, region string) string {
	switch want := want.(type) {
	case object:
		return matchObject(path, want, got, region)
	case list:
		return matchList(path, want, got, region)
	case holds:
		for _, each := range want {
			if !isAmong(each, got, region) {
				return fmt.Sprintf("%s: %v is not in %v", path, each, got)
			}
		}
		return isList(path, got)
	case lacks:
		for _, each := range want {
			if isAmong(each, got, region) {
				return fmt.Sprintf("%s: %v is in %v", path, each, got)
			}
		}
		return isList(path, got)
	case string:
		if kind, isKind := strings.CutPrefix(want, "<"); isKind && strings.HasSuffix(want, ">") {
			return matchKind(path, strings.TrimSuffix(kind, ">"), got, region)
		}
	case int:
		if number, isNumber := got.(float64); isNumber && number == float64(want) {
			return ""
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s is %v, want %v", path, shown(got), want)
	}
	return ""
}

func matchObject(path string, want object, got any, region string) string {
	members, isObject := got.(object)
	if !isObject {
		return fmt.Sprintf("%s is %v, want an object", path, shown(got))
	}
	for name, each := range want {
		if difference := match(path+"."+name, each, members[name], region); difference != "" {
			return difference
		}
	}
	return ""
}

func matchList(path string, want list, got any, region string) string {
	elements, _ := got.(list)
	if got == nil || len(elements) != len(want) {
		return fmt.Sprintf("%s is %v, want %d elements: %v", path, shown(got), len(want), want)
	}
	for i, each := range want {
		if difference := match(fmt.Sprintf("%s[%d]", path, i), each, elements[i], region); difference != "" {
			return difference
		}
	}
	return ""
}

func isAmong(want, got any, region string) bool {
	elements, _ := got.(list)
	return slices.ContainsFunc(elements, func(element any) bool { return match("", want, element, region) == "" })
}

func isList(path string, got any) string {
	if _, isList := got.(list); !isList {
		return fmt.Sprintf("%s is %v, want a list", path, shown(got))
	}
	return ""
}

func matchKind(path, kind string, got any, region string) string {
	text, isText := got.(string)
	kind, detail, _ := strings.Cut(kind, ":")
	var isIt bool
	switch kind {
	case "any":
		isIt = got != nil
	case "absent":
		isIt = got == nil
	case "empty":
		elements, isList := got.(list)
		isIt = got == nil || isText && text == "" || isList && len(elements) == 0
	case "text":
		isIt = isText && text != ""
	case "32hex":
		isIt = isText && hexID.MatchString(text)
	case "host":
		isIt = isText && hostName.MatchString(text)
	case "time":
		seconds, isNumber := got.(float64)
		isIt = isNumber && math.Abs(time.Since(time.UnixMicro(int64(seconds*1e6))).Seconds()) < maxAge.Seconds()
	case "arn":
		isIt = isText && regexp.MustCompile(`^`+arnPrefix(region)+regexp.QuoteMeta(detail)+`/[0-9a-f]{32}$`).MatchString(text)
	case "builtin":
		isIt = isText && regexp.MustCompile(`^`+arnPrefix(region)+regexp.QuoteMeta(detail)+`$`).MatchString(text)
	case "one":
		isIt = isText && slices.Contains(strings.Split(detail, "|"), text)
	case "holds":
		isIt = isText && strings.Contains(text, detail)
	default:
		return fmt.Sprintf("%s: the script wants <%s>, which there is not", path, kind)
	}
	if isIt {
		return ""
	}
	return fmt.Sprintf("%s is %v, want <%s %s>", path, shown(got), kind, detail)
}

func arnPrefix(region string) string { return `arn:aws:apprunner:` + region + `:[0-9]{12}:` }

func shown(value any) any {
	if value == nil {
		return "absent"
	}
	return value
}

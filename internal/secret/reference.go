package secret

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxName is the limit of Secrets Manager's names.
const maxName = 512

var namePattern = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

// CheckName says what is wrong with a secret's name, which is one of Secrets Manager's or of Parameter Store's.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("must have 1 to %d letters, digits and characters of /_+=.@-", maxName)
	}
	if plainName(name) == "" {
		return errors.New("must have more than slashes")
	}
	return nil
}

// plainName is what names are compared by: Parameter Store's begin with a slash, or not.
func plainName(name string) string { return strings.TrimLeft(name, "/") }

// Reference is what apprunner.yaml's value-from and the API's RuntimeEnvironmentSecrets say: the ARN of a secret of
// Secrets Manager or of a parameter of Systems Manager, or a name alone. Region and account are not looked at, so that
// configurations written for App Runner work as they are.
type Reference struct {
	// Name is as it stands in the reference. An ARN of Secrets Manager may add a hyphen and six characters to the name.
	Name    string
	hasTail bool
	// Key, when not empty, is the member of the secret's JSON object whose value is meant.
	Key string
}

// tail is what Secrets Manager adds to the name in an ARN.
var tail = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// ParseReference reads a reference. The error says what form it should have, and does not repeat it.
func ParseReference(text string) (Reference, error) {
	if !strings.HasPrefix(text, "arn:") {
		reference := Reference{Name: text}
		return reference, CheckName(text)
	}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 {
		return Reference{}, errForm
	}
	switch service, resource := parts[2], parts[5]; {
	case service == "secretsmanager" && strings.HasPrefix(resource, "secret:"):
		return parseSecret(strings.TrimPrefix(resource, "secret:"))
	case service == "ssm" && strings.HasPrefix(resource, "parameter/"):
		reference := Reference{Name: strings.TrimPrefix(resource, "parameter")}
		return reference, CheckName(reference.Name)
	}
	return Reference{}, errForm
}

var errForm = errors.New("must be a name, or an ARN like arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME")

// parseSecret reads NAME[:json-key:version-stage:version-id] (App Runner's developer guide, "Managing environment
// variables"). There is one version of a secret here, the current one.
func parseSecret(text string) (Reference, error) {
	parts := strings.Split(text, ":")
	reference := Reference{Name: parts[0], hasTail: tail.MatchString(parts[0])}
	if err := CheckName(reference.Name); err != nil {
		return Reference{}, err
	}
	for len(parts) < 4 {
		parts = append(parts, "")
	}
	if len(parts) > 4 {
		return Reference{}, errors.New("has more than the key, the stage and the id of a version after the name")
	}
	reference.Key = parts[1]
	if stage := parts[2]; stage != "" && stage != "AWSCURRENT" || parts[3] != "" {
		return Reference{}, errors.New("names a version of the secret, and only the current one is kept here")
	}
	return reference, nil
}

// names are those that the reference may mean, the likeliest first.
func (r Reference) names() []string {
	names := []string{r.Name}
	if r.hasTail {
		names = append(names, tail.ReplaceAllString(r.Name, ""))
	}
	return names
}

// putName is the name to store a missing secret under.
func (r Reference) putName() string { names := r.names(); return names[len(names)-1] }

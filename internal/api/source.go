package api

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
)

const (
	defaultPort = "8080"

	imagePath = "SourceConfiguration.ImageRepository"
	codePath  = "SourceConfiguration.CodeRepository"
)

func (h *Handler) applySource(ctx context.Context, into *platform.Source, tags map[string]string, change *apprunner.SourceConfiguration) error {
	if change.CodeRepository != nil && change.ImageRepository != nil {
		return invalidRequest("SourceConfiguration must have one of CodeRepository and ImageRepository, and has both.")
	}
	var err error
	if change.ImageRepository != nil {
		if into.Image == nil {
			into.Image = &platform.ImageSource{Port: defaultPort}
		}
		err = applyImage(into.Image, change.ImageRepository)
	}
	_, isWithoutRuntime := tags[platform.TagBuild] // the Dockerfile or the files decide
	if change.CodeRepository != nil {
		var missing error
		if into.Code == nil {
			into.Code = &platform.CodeSource{Directory: "/"}
			if change.CodeRepository.CodeConfiguration == nil && !isWithoutRuntime {
				missing = invalidRequest("%s.CodeConfiguration is required.", codePath)
			}
		}
		err = errors.Join(missing, applyCode(into.Code, change.CodeRepository))
	}
	if change.AutoDeploymentsEnabled != nil {
		into.IsAutoDeployed = *change.AutoDeploymentsEnabled
	}
	if authentication := change.AuthenticationConfiguration; authentication != nil {
		set(&into.AccessRoleARN, authentication.AccessRoleARN)
	}
	if err != nil {
		return err // what follows would be about members that are wrong already
	}
	if into.Code != nil && !isWithoutRuntime {
		err = h.checkBuildable(into.Code, tags[platform.TagRuntime])
	}
	return errors.Join(err, h.applyConnection(ctx, into, change))
}

// applyConnection sees to it that the repository, new or not, is one that the connection, new or not, is for.
func (h *Handler) applyConnection(ctx context.Context, into *platform.Source, change *apprunner.SourceConfiguration) error {
	const member = "SourceConfiguration.AuthenticationConfiguration.ConnectionArn"
	var arn *apprunner.AppRunnerResourceARN
	if change.AuthenticationConfiguration != nil {
		arn = change.AuthenticationConfiguration.ConnectionARN
	}
	switch {
	case arn != nil && into.Code == nil:
		return invalidRequest("%s may be given only for a code repository.", member)
	case arn == nil && (into.ConnectionARN == "" || change.CodeRepository == nil):
		return nil
	case arn == nil:
		arn = wireARN(into.ConnectionARN)
	}
	connection, err := h.connection(ctx, *arn)
	if err != nil {
		return err
	}
	into.ConnectionARN = connection.ARN
	return checkReach(connection, into.Code.RepositoryURL)
}

var ecrPattern = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.`)

// isAutoDeployedByDefault is false where App Runner cannot know of a push: ECR Public and another account's ECR.
func (h *Handler) isAutoDeployedByDefault(source platform.Source) bool {
	if source.Image == nil {
		return true
	}
	owner := ecrPattern.FindStringSubmatch(source.Image.Identifier)
	isForeign := owner != nil && owner[1] != h.Account
	return source.Image.RepositoryType != string(apprunner.ImageRepositoryTypeECRPublic) && !isForeign
}

func applyImage(into *platform.ImageSource, change *apprunner.ImageRepository) error {
	var wrong error
	identifier := string(*change.ImageIdentifier)
	if _, err := name.ParseReference(identifier); err != nil {
		wrong = invalidRequest("%s.ImageIdentifier must be an image reference, such as registry.example.com/name:tag or name@sha256:DIGEST.", imagePath)
	}
	into.Identifier, into.RepositoryType = identifier, string(*change.ImageRepositoryType)
	if change.ImageConfiguration == nil {
		return wrong
	}
	at := imagePath + ".ImageConfiguration"
	configuration := change.ImageConfiguration
	set(&into.StartCommand, configuration.StartCommand)
	return errors.Join(
		wrong,
		applyPort(&into.Port, at, configuration.Port),
		applyEnvironment(&into.Environment, at, configuration.RuntimeEnvironmentVariables),
		applySecrets(&into.Secrets, at, configuration.RuntimeEnvironmentSecrets),
	)
}

func applyCode(into *platform.CodeSource, change *apprunner.CodeRepository) error {
	errs := []error{checkRepositoryURL(codePath+".RepositoryUrl", string(*change.RepositoryURL))}
	branch := string(*change.SourceCodeVersion.Value)
	if !isBranch(branch) {
		errs = append(errs, invalidRequest("%s.SourceCodeVersion.Value must be the name of a branch.", codePath))
	}
	into.RepositoryURL, into.Branch = string(*change.RepositoryURL), branch
	if change.SourceDirectory != nil {
		if !isInside(string(*change.SourceDirectory)) {
			errs = append(errs, invalidRequest("%s.SourceDirectory must be a folder inside the repository, without .. in it.", codePath))
		}
		into.Directory = directoryOf(string(*change.SourceDirectory))
	}
	if configuration := change.CodeConfiguration; configuration != nil {
		into.UsesConfigurationFile = *configuration.ConfigurationSource == apprunner.ConfigurationSourceRepository
		if configuration.CodeConfigurationValues != nil {
			if into.Values == nil {
				into.Values = &platform.CodeValues{Port: defaultPort}
			}
			errs = append(errs, applyValues(into.Values, configuration.CodeConfigurationValues))
		}
	}
	return errors.Join(errs...)
}

func applyValues(into *platform.CodeValues, change *apprunner.CodeConfigurationValues) error {
	const at = codePath + ".CodeConfiguration.CodeConfigurationValues"
	set(&into.Runtime, change.Runtime)
	set(&into.BuildCommand, change.BuildCommand)
	set(&into.StartCommand, change.StartCommand)
	return errors.Join(
		applyPort(&into.Port, at, change.Port),
		applyEnvironment(&into.Environment, at, change.RuntimeEnvironmentVariables),
		applySecrets(&into.Secrets, at, change.RuntimeEnvironmentSecrets),
	)
}

// checkBuildable refuses code that could not be built, as far as the request alone tells. What the repository's own
// file says is found out by the deployment, and so is whether there is the runtime of the tag.
func (h *Handler) checkBuildable(code *platform.CodeSource, runtimeTag string) error {
	const at = codePath + ".CodeConfiguration.CodeConfigurationValues"
	available := h.Runtimes()
	switch {
	case code.UsesConfigurationFile:
		return nil
	case code.Values == nil:
		return invalidRequest("%s is required when ConfigurationSource is API.", at)
	case runtimeTag == "" && !slices.Contains(available, code.Values.Runtime):
		return invalidRequest("%s.Runtime: there is no recipe for %s here; there are recipes for %s.",
			at, code.Values.Runtime, strings.Join(available, ", "))
	case code.Values.StartCommand == "":
		return invalidRequest("%s.StartCommand is required when ConfigurationSource is API.", at)
	}
	return nil
}

func applyPort(into *string, at string, port *apprunner.String) error {
	if port == nil {
		return nil
	}
	number, err := strconv.ParseUint(string(*port), 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != string(*port) {
		return invalidRequest("%s.Port must be a number from 1 to 65535, as a string.", at)
	}
	*into = string(*port)
	return nil
}

// reservedPrefix begins the names of variables that App Runner keeps for itself (API reference, ImageConfiguration).
const reservedPrefix = "AWSAPPRUNNER"

// applyEnvironment replaces all variables when any are given: an empty map removes them. A process cannot have a name
// with = in it.
func applyEnvironment(into *map[string]string, at string, change apprunner.RuntimeEnvironmentVariables) error {
	if change == nil {
		return nil
	}
	environment := make(map[string]string, len(change))
	for _, key := range slices.Sorted(maps.Keys(change)) {
		if strings.ContainsAny(string(key), "=\x00") || strings.Contains(string(change[key]), "\x00") {
			return invalidRequest("%s.RuntimeEnvironmentVariables must have no name with = or NUL, and no value with NUL.", at)
		}
		if strings.HasPrefix(string(key), reservedPrefix) {
			return invalidRequest("%s.RuntimeEnvironmentVariables must have no name that begins with %s, which is reserved.", at, reservedPrefix)
		}
		environment[string(key)] = string(change[key])
	}
	*into = environment
	return nil
}

// applySecrets replaces the references when the change has some. Whether there are such secrets is told by the deployment,
// as App Runner does: they may come later.
func applySecrets(into *map[string]string, at string, change apprunner.RuntimeEnvironmentSecrets) error {
	if change == nil {
		return nil
	}
	at += ".RuntimeEnvironmentSecrets"
	if len(change) > maxSecretVariables {
		return invalidRequest("%s must have at most %d members.", at, maxSecretVariables)
	}
	references := make(map[string]string, len(change))
	for _, key := range slices.Sorted(maps.Keys(change)) {
		if strings.ContainsAny(string(key), "=\x00") || strings.HasPrefix(string(key), reservedPrefix) {
			return invalidRequest("%s must have no name with = or NUL, and none that begins with %s.", at, reservedPrefix)
		}
		if _, err := secret.ParseReference(string(change[key])); err != nil {
			return invalidRequest("%s: the value of %s %s.", at, shorten(string(key)), err)
		}
		references[string(key)] = string(change[key])
	}
	*into = references
	return nil
}

// scpPattern is Git's short form of an ssh URL: git@host:path.
var scpPattern = regexp.MustCompile(`^([A-Za-z0-9._][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):[^:].*$`)

var urlPattern = regexp.MustCompile(`^(?:(?:https?|ssh)://(?:[^/@]*@)?(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/.+|file://(?:localhost)?/.+)$`)

// checkRepositoryURL accepts what Git fetches from. It never repeats the URL, which may carry a password.
func checkRepositoryURL(member, url string) error {
	isForm := strings.HasPrefix(url, "/") || urlPattern.MatchString(url) || !strings.Contains(url, "://") && scpPattern.MatchString(url)
	if !isForm || strings.ContainsFunc(url, isSpaceOrControl) {
		return invalidRequest("%s must be the URL of a Git repository: https://, http://, ssh:// or file://, USER@HOST:PATH, or an absolute path.", member)
	}
	return nil
}

// isBranch follows git-check-ref-format, so that no name is anything but a branch to Git.
func isBranch(branch string) bool {
	switch {
	case branch == "", branch == "@", len(branch) > 1024,
		strings.HasPrefix(branch, "-"), strings.HasPrefix(branch, "/"), strings.HasSuffix(branch, "/"), strings.HasSuffix(branch, "."),
		strings.Contains(branch, ".."), strings.Contains(branch, "//"), strings.Contains(branch, "@{"),
		strings.ContainsAny(branch, `~^:?*[\`), strings.ContainsFunc(branch, isSpaceOrControl):
		return false
	}
	for part := range strings.SplitSeq(branch, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

func isSpaceOrControl(c rune) bool { return c <= ' ' || c == 0x7f }

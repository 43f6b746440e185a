package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/store"
)

// maxTags is how many tags one resource may have, as everywhere in AWS.
const maxTags = 50

func (h *Handler) tagResource(ctx context.Context, input *apprunner.TagResourceRequest) (*apprunner.TagResourceResponse, error) {
	added, err := tagsOf("Tags", input.Tags)
	if err = asOne(err); err != nil {
		return nil, err
	}
	return &apprunner.TagResourceResponse{}, h.changeTags(ctx, apprunner.TagResource.Action, input.ResourceARN, func(tags map[string]string) {
		maps.Copy(tags, added)
	})
}

func (h *Handler) untagResource(ctx context.Context, input *apprunner.UntagResourceRequest) (*apprunner.UntagResourceResponse, error) {
	return &apprunner.UntagResourceResponse{}, h.changeTags(ctx, apprunner.UntagResource.Action, input.ResourceARN, func(tags map[string]string) {
		for _, key := range input.TagKeys {
			delete(tags, string(key))
		}
	})
}

func (h *Handler) listTagsForResource(ctx context.Context, input *apprunner.ListTagsForResourceRequest) (*apprunner.ListTagsForResourceResponse, error) {
	tagged, err := h.tagged(ctx, apprunner.ListTagsForResource.Action, input.ResourceARN)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListTagsForResourceResponse{Tags: []apprunner.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(tagged.tags)) {
		output.Tags = append(output.Tags, apprunner.Tag{
			Key: new(apprunner.TagKey(key)), Value: new(apprunner.TagValue(tagged.tags[key])),
		})
	}
	return output, nil
}

// tagged is a service or a resource with its tags. edit changes them in one transaction.
type tagged struct {
	tags map[string]string
	edit func(func(tags map[string]string) error) error
}

// tagged finds what an ARN names among all that has tags.
func (h *Handler) tagged(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN) (tagged, error) {
	const member = "ResourceArn"
	path, _ := h.resourceOf(*arn)
	kind, _, _ := strings.Cut(path, "/")
	words, isResource := kindWords[platform.ResourceKind(kind)]
	switch {
	case kind == "service":
		service, err := h.liveService(ctx, arn)
		return tagged{service.Tags, func(edit func(map[string]string) error) error {
			err := h.Store.UpdateTags(ctx, service.ID, func(tags map[string]string) error {
				before := service
				before.Tags = maps.Clone(tags)
				if err := edit(tags); err != nil {
					return err
				}
				after := service
				after.Tags = tags
				return keepServing(before, after)
			})
			if err == nil {
				h.Retag()
			}
			return err
		}}, renamed(err, "ServiceArn", member)
	case !isResource:
		kinds := []string{"service"}
		for kind := range kindWords {
			kinds = append(kinds, string(kind))
		}
		slices.Sort(kinds)
		return tagged{}, invalidRequest("%s: %s is not the ARN of anything that has tags, which is a %s.", member, shorten(string(*arn)), strings.Join(kinds, ", "))
	}
	resource, err := h.find(ctx, action, platform.ResourceKind(kind), arn)
	err = renamed(err, words.member, member)
	if err == nil && resource.DeletedAt != nil {
		err = notFound("There is no %s %s: it was deleted.", kindWords[resource.Kind].name, resource.ARN)
	}
	return tagged{resource.Tags, func(edit func(map[string]string) error) error {
		return h.Store.EditResources(ctx, store.ResourceQuery{ID: resource.ID}, func(found []platform.Resource) error {
			if len(found) == 0 {
				return notFound("There is no %s %s: it was deleted.", kindWords[resource.Kind].name, resource.ARN)
			}
			before := found[0].Clone()
			if found[0].Tags == nil {
				found[0].Tags = map[string]string{}
			}
			if err := edit(found[0].Tags); err != nil {
				return err
			}
			return keepHost(before, found[0])
		})
	}}, err
}

// changeTags edits the tags of what arn names.
func (h *Handler) changeTags(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN, change func(map[string]string)) error {
	tagged, err := h.tagged(ctx, action, arn)
	if err != nil {
		return err
	}
	return tagged.edit(func(tags map[string]string) error {
		change(tags)
		if len(tags) > maxTags {
			return invalidRequest("The resource would have %d tags, and may have at most %d.", len(tags), maxTags)
		}
		return nil
	})
}

// tagsOf reads a list of tags. member is its path. The error has all that is wrong with them, for asOne.
func tagsOf(member string, list []apprunner.Tag) (map[string]string, error) {
	tags := map[string]string{}
	var errs []error
	for i, tag := range list {
		at := fmt.Sprintf("%s[%d]", member, i)
		if tag.Key == nil {
			errs = append(errs, invalidRequest("%s.Key is required.", at))
			continue
		}
		key, value := string(*tag.Key), ""
		if tag.Value != nil {
			value = string(*tag.Value)
		}
		if _, isDouble := tags[key]; isDouble {
			errs = append(errs, invalidRequest("%s.Key is given twice.", at))
		}
		errs = append(errs, checkExtensionTag(at, key, value))
		tags[key] = value
	}
	if len(tags) > maxTags {
		errs = append(errs, invalidRequest("%s has %d tags, and a resource may have at most %d.", member, len(tags), maxTags))
	}
	return tags, errors.Join(errs...)
}

// extensionPrefix begins the keys of the tags that mean something to apron.
const extensionPrefix = "apron:"

// checkExtensionTag refuses a tag of apron's own that would be ignored later.
func checkExtensionTag(at, key, value string) error {
	if !strings.HasPrefix(key, extensionPrefix) {
		return nil
	}
	if name, isArgument := strings.CutPrefix(key, platform.TagBuildArg); isArgument {
		return checkBuildArgument(at, name)
	}
	if id, isSecret := strings.CutPrefix(key, platform.TagBuildSecret); isSecret {
		return checkBuildSecret(at, id, value)
	}
	isServing, wrong := platform.CheckServingTag(key, value)
	if wrong != nil {
		return invalidRequest("%s.Value of the tag %s %s.", at, key, wrong.Rule)
	}
	if isServing {
		return nil
	}
	switch key {
	case platform.TagBuild:
		if value != platform.BuildDockerfile && value != platform.BuildAuto {
			return invalidRequest("%s.Value of the tag %s must be %s or %s.", at, key, platform.BuildDockerfile, platform.BuildAuto)
		}
	case platform.TagTarget:
		if !targetPattern.MatchString(value) {
			return invalidRequest("%s.Value of the tag %s must be the name of a stage of the Dockerfile.", at, key)
		}
	case platform.TagDockerfile:
		if value == "" || !isInside(value) {
			return invalidRequest("%s.Value of the tag %s must be the path of a Dockerfile inside the source directory.", at, key)
		}
	case platform.TagRuntime:
		if !runtimePattern.MatchString(value) {
			return invalidRequest("%s.Value of the tag %s must be the name of a runtime, such as nodejs24.", at, key)
		}
	case platform.TagHost:
		if err := source.CheckHost(value); err != nil {
			return invalidRequest("%s.Value of the tag %s: %s.", at, key, err)
		}
	default:
		return invalidRequest("%s.Key is %q, and of the tags that begin with %s there are %s.",
			at, key, extensionPrefix, strings.Join(append([]string{
				platform.TagBuild, platform.TagDockerfile, platform.TagTarget, platform.TagBuildArg + "NAME", platform.TagBuildSecret + "ID", platform.TagHost,
				platform.TagRuntime,
			}, platform.ServingTags()...), ", "))
	}
	return nil
}

var (
	targetPattern        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	buildArgumentPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	buildSecretPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

// checkBuildArgument leaves to apron the arguments by which BuildKit itself is told things, such as another frontend.
func checkBuildArgument(at, name string) error {
	if !buildArgumentPattern.MatchString(name) {
		return invalidRequest("%s.Key of a tag %sNAME must name a variable: letters, digits and _.", at, platform.TagBuildArg)
	}
	if strings.HasPrefix(strings.ToUpper(name), "BUILDKIT_") {
		return invalidRequest("%s.Key names the build argument %s, but those that begin with BUILDKIT_ are not for Dockerfiles.", at, name)
	}
	return nil
}

// runtimePattern matches the names that apprunner.yaml has for runtimes. Which there are, the build knows.
var runtimePattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// checkBuildSecret does not ask whether there is such a secret: it may come before the build does.
func checkBuildSecret(at, id, reference string) error {
	if !buildSecretPattern.MatchString(id) || reference == "" {
		return invalidRequest("%s of a tag %sID must have an id of letters, digits and ._-, and the name of a secret as its value.",
			at, platform.TagBuildSecret)
	}
	if _, err := secret.ParseReference(reference); err != nil {
		return invalidRequest("%s.Value of a tag %sID %s.", at, platform.TagBuildSecret, err)
	}
	return nil
}

// isInside says whether a path, read from a folder, stays in that folder.
func isInside(name string) bool {
	if strings.ContainsAny(name, "\x00\\") {
		return false
	}
	return !slices.Contains(strings.Split(name, "/"), "..")
}

// directoryOf is a SourceDirectory as it is kept: absolute from the repository's root, and clean.
func directoryOf(name string) string { return path.Clean("/" + name) }

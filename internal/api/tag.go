package api

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
)

// maxTags is how many tags one resource may have, as everywhere in AWS.
const maxTags = 50

func (h *Handler) tagResource(ctx context.Context, input *apprunner.TagResourceRequest) (*apprunner.TagResourceResponse, error) {
	added, err := tagsOf("Tags", input.Tags)
	if err != nil {
		return nil, err
	}
	return &apprunner.TagResourceResponse{}, h.changeTags(ctx, input.ResourceARN, func(tags map[string]string) {
		maps.Copy(tags, added)
	})
}

func (h *Handler) untagResource(ctx context.Context, input *apprunner.UntagResourceRequest) (*apprunner.UntagResourceResponse, error) {
	return &apprunner.UntagResourceResponse{}, h.changeTags(ctx, input.ResourceARN, func(tags map[string]string) {
		for _, key := range input.TagKeys {
			delete(tags, string(key))
		}
	})
}

func (h *Handler) listTagsForResource(ctx context.Context, input *apprunner.ListTagsForResourceRequest) (*apprunner.ListTagsForResourceResponse, error) {
	service, err := h.liveService(ctx, input.ResourceARN)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListTagsForResourceResponse{Tags: []apprunner.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(service.Tags)) {
		output.Tags = append(output.Tags, apprunner.Tag{
			Key: new(apprunner.TagKey(key)), Value: new(apprunner.TagValue(service.Tags[key])),
		})
	}
	return output, nil
}

// changeTags edits the tags of the service that arn names.
func (h *Handler) changeTags(ctx context.Context, arn *apprunner.AppRunnerResourceARN, change func(map[string]string)) error {
	service, err := h.liveService(ctx, arn)
	if err != nil {
		return err
	}
	return h.Store.UpdateTags(ctx, service.ID, func(tags map[string]string) error {
		change(tags)
		if len(tags) > maxTags {
			return invalidRequest("The resource would have %d tags, and may have at most %d.", len(tags), maxTags)
		}
		return nil
	})
}

// tagsOf reads a list of tags. member is its path.
func tagsOf(member string, list []apprunner.Tag) (map[string]string, error) {
	tags := map[string]string{}
	for i, tag := range list {
		at := fmt.Sprintf("%s[%d]", member, i)
		if tag.Key == nil {
			return nil, invalidRequest("%s.Key is required.", at)
		}
		key, value := string(*tag.Key), ""
		if tag.Value != nil {
			value = string(*tag.Value)
		}
		if _, isDouble := tags[key]; isDouble {
			return nil, invalidRequest("%s.Key is given twice.", at)
		}
		if err := checkExtensionTag(at, key, value); err != nil {
			return nil, err
		}
		tags[key] = value
	}
	if len(tags) > maxTags {
		return nil, invalidRequest("%s has %d tags, and a resource may have at most %d.", member, len(tags), maxTags)
	}
	return tags, nil
}

// checkExtensionTag refuses a value that would be ignored later.
func checkExtensionTag(at, key, value string) error {
	switch key {
	case platform.TagBuild:
		if value != buildDockerfile {
			return invalidRequest("%s.Value of the tag %s must be %s.", at, key, buildDockerfile)
		}
	case platform.TagDockerfile:
		if value == "" || !isInside(value) {
			return invalidRequest("%s.Value of the tag %s must be the path of a Dockerfile inside the source directory.", at, key)
		}
	}
	return nil
}

const buildDockerfile = "dockerfile"

// isInside says whether a path, read from a folder, stays in that folder.
func isInside(name string) bool {
	if strings.ContainsAny(name, "\x00\\") {
		return false
	}
	return !slices.Contains(strings.Split(name, "/"), "..")
}

// directoryOf is a SourceDirectory as it is kept: absolute from the repository's root, and clean.
func directoryOf(name string) string { return path.Clean("/" + name) }

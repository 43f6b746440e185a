package main

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

// Tags that say to apron what App Runner's model has no member for.
const (
	tagBuild       = "apron:build"
	tagDockerfile  = "apron:dockerfile"
	tagTarget      = "apron:target"
	tagBuildArg    = "apron:build-arg:"
	tagBuildSecret = "apron:build-secret:"
	tagRuntime     = "apron:runtime"
)

// tags say how a folder is built, as far as apprunner.yaml and App Runner's model do not.
func (w wish) tags() map[string]string {
	tags := map[string]string{}
	switch {
	case w.isAuto:
		tags[tagBuild] = "auto"
	case w.dockerfile != "":
		tags[tagBuild] = "dockerfile"
	}
	if w.dockerfile != "" && w.dockerfile != "Dockerfile" {
		tags[tagDockerfile] = w.dockerfile
	}
	if w.target != "" {
		tags[tagTarget] = w.target
	}
	if w.runtimeTag != "" {
		tags[tagRuntime] = w.runtimeTag
	}
	for name, value := range w.arguments {
		tags[tagBuildArg+name] = value
	}
	for id, reference := range w.buildSecrets {
		tags[tagBuildSecret+id] = reference
	}
	return tags
}

// tagList is the API's form of tags, sorted.
func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// retag brings the tags of a service that is there to what is wished about its build, and says whether any was another. A
// runtime that is wished wins over the folder. Other tags that the wish says nothing about stay.
func (d *deployment) retag(ctx context.Context, service found) (bool, error) {
	wished := d.wish.tags()
	if len(wished) == 0 && d.wish.runtime == "" {
		return false, nil
	}
	has, err := d.client.API.ListTagsForResource(ctx, &apprunner.ListTagsForResourceInput{ResourceArn: service.ServiceArn})
	if err != nil {
		return false, err
	}
	var foreign []string
	for _, tag := range has.Tags {
		key := aws.ToString(tag.Key)
		if value, isWished := wished[key]; isWished && value == aws.ToString(tag.Value) {
			delete(wished, key)
		}
		if d.wish.runtime != "" && (key == tagBuild || key == tagRuntime && d.wish.runtimeTag == "") {
			foreign = append(foreign, key)
		}
	}
	if len(wished) > 0 {
		_, err = d.client.API.TagResource(ctx, &apprunner.TagResourceInput{ResourceArn: service.ServiceArn, Tags: tagList(wished)})
	}
	if len(foreign) > 0 && err == nil {
		_, err = d.client.API.UntagResource(ctx, &apprunner.UntagResourceInput{ResourceArn: service.ServiceArn, TagKeys: foreign})
	}
	return len(wished)+len(foreign) > 0, err
}

package apprunner

type TagResourceRequest struct {
	ResourceARN *AppRunnerResourceARN `api:"ResourceArn,required"`
	Tags        TagList               `api:",required"`
}

type TagResourceResponse struct{}

type UntagResourceRequest struct {
	ResourceARN *AppRunnerResourceARN `api:"ResourceArn,required"`
	TagKeys     TagKeyList            `api:",required"`
}

type UntagResourceResponse struct{}

type ListTagsForResourceRequest struct {
	ResourceARN *AppRunnerResourceARN `api:"ResourceArn,required"`
}

// ListTagsForResourceResponse has a list that the model does not require; the server sends it always, empty or not.
type ListTagsForResourceResponse struct {
	Tags TagList
}

type (
	TagList    []Tag
	TagKeyList []TagKey
)

// Tag is a label. The model requires neither member, but a tag without a key means nothing and the server refuses it.
type Tag struct {
	Key   *TagKey
	Value *TagValue
}

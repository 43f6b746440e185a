package api

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// deletedFor is how long a deleted resource can still be described.
const deletedFor = 24 * time.Hour

// kindWords are a kind's name for a person, the member of an input that holds its ARN, and how its ARNs end.
var kindWords = map[platform.ResourceKind]struct{ name, member, form string }{
	platform.ResourceAutoScaling:   {"auto scaling configuration", "AutoScalingConfigurationArn", "autoscalingconfiguration/NAME, NAME/REVISION or NAME/REVISION/ID"},
	platform.ResourceObservability: {"observability configuration", "ObservabilityConfigurationArn", "observabilityconfiguration/NAME, NAME/REVISION or NAME/REVISION/ID"},
	platform.ResourceConnection:    {"connection", "ConnectionArn", "connection/NAME/ID"},
	platform.ResourceVPCConnector:  {"VPC connector", "VpcConnectorArn", "vpcconnector/NAME/REVISION/ID"},
	platform.ResourceVPCIngress:    {"VPC ingress connection", "VpcIngressConnectionArn", "vpcingressconnection/NAME/ID"},
}

// queryOf reads an ARN of a kind. Those of auto scaling and observability configurations may stop after the name or the
// revision. isHere is false for another region or account. InvalidRequest when it is no ARN of the kind.
func (h *Handler) queryOf(kind platform.ResourceKind, arn apprunner.AppRunnerResourceARN) (query store.ResourceQuery, isHere bool, err error) {
	words := kindWords[kind]
	wrong := invalidRequest("%s: %s is not the ARN of %s, which ends with %s.", words.member, shorten(string(arn)), article(words.name), words.form)
	resource, isHere := h.resourceOf(arn)
	parts := strings.Split(resource, "/")
	if parts[0] != string(kind) || slices.Contains(parts, "") {
		return query, false, wrong
	}
	query = store.ResourceQuery{Kind: kind}
	isPartial := kind == platform.ResourceAutoScaling || kind == platform.ResourceObservability
	switch {
	case kind.HasRevisions() && len(parts) == 4, !kind.HasRevisions() && len(parts) == 3:
		query.ID, query.WithDeleted = platform.ResourceID(parts[len(parts)-1]), true
		return query, isHere, nil
	case isPartial && len(parts) == 2:
		query.Name, query.LatestOnly = parts[1], true
		return query, isHere, nil
	case isPartial && len(parts) == 3:
		query.Name, query.WithDeleted = parts[1], true
		if query.Revision, err = strconv.Atoi(parts[2]); err == nil && query.Revision > 0 {
			return query, isHere, nil
		}
	}
	return query, false, wrong
}

// find returns the resource that an ARN names, deleted ones too. A name alone means its latest revision. An ARN that
// names nothing is ResourceNotFound where the action declares that, else InvalidRequest.
func (h *Handler) find(ctx context.Context, action apprunner.Action, kind platform.ResourceKind, arn *apprunner.AppRunnerResourceARN) (platform.Resource, error) {
	missing := &Error{apprunner.CodeInvalidRequest, "There is no " + kindWords[kind].name + " " + shorten(string(*arn)) + "."}
	if action.Declares(apprunner.CodeResourceNotFound) {
		missing.Code = apprunner.CodeResourceNotFound
	}
	query, isHere, err := h.queryOf(kind, *arn)
	if err != nil {
		return platform.Resource{}, err
	}
	if !isHere {
		return platform.Resource{}, missing
	}
	found, err := h.Store.ListResources(ctx, query)
	if err != nil {
		return platform.Resource{}, err
	}
	// Of those that had the name and revision, the one that is there comes last, or the one that was deleted last.
	if len(found) == 0 || query.ID != "" && found[0].ARN != string(*arn) {
		return platform.Resource{}, missing
	}
	return found[len(found)-1], nil
}

// findLive is find without those that were deleted, of which App Runner says so.
func (h *Handler) findLive(ctx context.Context, action apprunner.Action, kind platform.ResourceKind, arn *apprunner.AppRunnerResourceARN) (platform.Resource, error) {
	resource, err := h.find(ctx, action, kind, arn)
	if err == nil && resource.DeletedAt != nil {
		return platform.Resource{}, deleted(kind)
	}
	return resource, err
}

// refer returns the resource that a member of a service refers to. InvalidRequest when there is none.
func (h *Handler) refer(ctx context.Context, member string, kind platform.ResourceKind, arn apprunner.AppRunnerResourceARN) (platform.Resource, error) {
	resource, err := h.findLive(ctx, apprunner.CreateService.Action, kind, &arn)
	var refused *Error
	if errors.As(err, &refused) {
		return platform.Resource{}, invalidRequest("%s: %s", member, strings.TrimPrefix(refused.Message, kindWords[kind].member+": "))
	}
	return resource, err
}

func deleted(kind platform.ResourceKind) *Error {
	return invalidRequest("The %s you specified has been deleted", kindWords[kind].name)
}

// create inserts a resource of a kind under the next revision of its name. what is the new one without what is filled in
// here; check refuses one more. wrong is what was found out about other members than the tags.
func (h *Handler) create(ctx context.Context, what platform.Resource, list apprunner.TagList, wrong error, check func(store.Existing) error) (platform.Resource, error) {
	tags, err := tagsOf("Tags", list)
	if err := asOne(errors.Join(wrong, err)); err != nil {
		return platform.Resource{}, err
	}
	what.Tags = tags
	resource, err := h.Store.CreateResource(ctx, what.Kind, what.Name, func(existing store.Existing) (platform.Resource, error) {
		if err := check(existing); err != nil {
			return platform.Resource{}, err
		}
		what.ID, what.Revision, what.CreatedAt = platform.NewResourceID(), 1, h.Now().UTC()
		if what.Kind == platform.ResourceAutoScaling || what.Kind == platform.ResourceObservability {
			what.Revision = existing.Newest + 1
		}
		what.ARN = h.arn(what.Path())
		return what, nil
	})
	if errors.Is(err, store.ErrConflict) {
		return platform.Resource{}, taken(what)
	}
	return resource, err
}

func taken(resource platform.Resource) *Error {
	return invalidRequest("There is already %s with the name %s.", article(kindWords[resource.Kind].name), resource.Name)
}

// checkRevision refuses a revision beyond the quotas of names and of a name's revisions.
func (h *Handler) checkRevision(names, revisions Quota, kind platform.ResourceKind) func(store.Existing) error {
	return func(existing store.Existing) error {
		if existing.Revisions > 0 {
			return h.Quotas.refuse(revisions, "revisions of the "+kindWords[kind].name, existing.Revisions)
		}
		return h.Quotas.refuse(names, kindWords[kind].name+"s", existing.Names)
	}
}

// checkName refuses a name that is taken, and one beyond the quota.
func (h *Handler) checkName(quota Quota, resource platform.Resource) func(store.Existing) error {
	return func(existing store.Existing) error {
		if existing.Revisions > 0 {
			return taken(resource)
		}
		return h.Quotas.refuse(quota, kindWords[resource.Kind].name+"s", existing.Names)
	}
}

// remove deletes the resources that query finds, unless refuse says why not, and returns the last of them as it then is.
func (h *Handler) remove(ctx context.Context, query store.ResourceQuery, status string, refuse func(platform.Resource) error) (platform.Resource, error) {
	query.WithDeleted = false
	var last platform.Resource
	err := h.Store.EditResources(ctx, query, func(resources []platform.Resource) error {
		if len(resources) == 0 {
			return deleted(query.Kind) // a moment ago
		}
		for i := range resources {
			resource := &resources[i]
			if err := refuse(*resource); err != nil {
				return err
			}
			resource.Status, resource.DeletedAt, resource.IsLatest = status, new(h.Now().UTC()), false
			last = resource.Clone()
		}
		return nil
	})
	if err != nil {
		return platform.Resource{}, err
	}
	h.prune(ctx)
	return last, nil
}

// prune forgets what was deleted long ago. Nothing depends on it; the next deletion tries again.
func (h *Handler) prune(ctx context.Context) {
	if err := h.Store.PruneResources(ctx, h.Now().Add(-deletedFor)); err != nil {
		h.Log.Error("forget deleted resources", "error", err)
	}
}

// refuseUsed keeps a resource that a service refers to.
func refuseUsed(resource platform.Resource) error {
	if !resource.IsUsed {
		return nil
	}
	return invalidRequest("The %s %s is in use by a service. Let the service use another one, or delete the service, first.",
		kindWords[resource.Kind].name, resource.ARN)
}

// list returns one page of a kind, and the token of the next one.
func (h *Handler) list(ctx context.Context, action apprunner.Action, query store.ResourceQuery, subject string,
	token *apprunner.NextToken, max *apprunner.MaxResults, keep func(platform.Resource) bool) ([]platform.Resource, *apprunner.NextToken, error) {
	after, err := h.pages.place(action, subject, (*apprunner.String)(token))
	if err != nil {
		return nil, nil, err
	}
	size, limit := limitOf(max)
	if after != nil {
		query.After = &store.ResourceCursor{CreatedAt: after.time(), ID: platform.ResourceID(after.ID)}
	}
	if keep == nil {
		query.Limit = limit
	}
	resources, err := h.Store.ListResources(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	if keep != nil {
		resources = slices.DeleteFunc(resources, func(r platform.Resource) bool { return !keep(r) })
	}
	resources, isMore := page(resources, size)
	if !isMore {
		return resources, nil, nil
	}
	last := resources[len(resources)-1]
	next := h.pages.token(action, subject, placeOf(last.CreatedAt, string(last.ID)))
	return resources, (*apprunner.NextToken)(next), nil
}

func article(name string) string {
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// shorten keeps what a client wrote within a message.
func shorten(text string) string { return cut(text, 300) }

// cut keeps a text within a number of bytes.
func cut(text string, room int) string {
	if len(text) > room {
		return strings.ToValidUTF8(text[:room], "") + "…"
	}
	return text
}

func wireARN(arn string) *apprunner.AppRunnerResourceARN {
	return new(apprunner.AppRunnerResourceARN(arn))
}

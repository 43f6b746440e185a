package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/aws/smithy-go"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/push"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// deployment is one `apron deploy`.
type deployment struct {
	shell  *shell
	client *client.Client
	wish   wish
	flags  deployFlags
	// listeners are where the service will answer.
	listeners client.Listeners
}

// found is a service that is there.
type found struct{ types.Service }

func (f found) arn() string { return aws.ToString(f.ServiceArn) }

// run sends the folder, and creates, updates or deploys the service.
func (d *deployment) run(ctx context.Context) (outcome, error) {
	service, exists, err := d.findIdle(ctx)
	if err != nil {
		return outcome{}, err
	}
	if exists {
		if err := d.checkDeployable(service); err != nil {
			return outcome{}, err
		}
	}
	if d.wish.isAuto {
		d.note("There is no apprunner.yaml and no Dockerfile: it is built as %s. The output of the build shows how.", d.wish.kind)
	}
	commit, err := d.send(ctx, service)
	if err != nil {
		return outcome{}, err
	}
	if !exists {
		return d.create(ctx)
	}
	return d.renew(ctx, service, commit)
}

// findIdle finds the service and waits until no operation runs on it: someone else's, or one of an interrupted deploy.
func (d *deployment) findIdle(ctx context.Context) (found, bool, error) {
	for isAnnounced := false; ; {
		service, exists, err := d.find(ctx)
		if err != nil || !exists || service.Status != types.ServiceStatusOperationInProgress {
			return service, exists, err
		}
		operations, err := d.client.Operations(ctx, service.arn(), 1)
		if err != nil || len(operations) == 0 {
			return service, true, err
		}
		if !isAnnounced {
			isAnnounced = true
			d.note("Waiting for the running %s to end:", operations[0].Type)
		}
		if _, err := d.shell.follow(ctx, d.client, service.arn(), aws.ToString(operations[0].Id), false); err != nil {
			return service, true, err
		}
	}
}

// checkDeployable says no before anything is sent.
func (d *deployment) checkDeployable(service found) error {
	name := d.flags.name
	switch service.Status {
	case types.ServiceStatusPaused:
		return advise("Run `apron resume "+name+"` first, then deploy again.", "%s is paused", name)
	case types.ServiceStatusDeleteFailed:
		return advise("Run `apron delete "+name+"` again, then deploy.", "deleting %s had failed", name)
	}
	source := service.SourceConfiguration
	isImage := source != nil && source.ImageRepository != nil
	if isImage != (d.wish.image != "") {
		kinds := map[bool]string{true: "an image", false: "source code"}
		return advise("Choose another --name, or `apron delete "+name+"` first.", "%s is deployed from %s, not from %s", name, kinds[isImage], kinds[!isImage])
	}
	if !isImage && source != nil && source.CodeRepository != nil && !d.isOurRepository(aws.ToString(source.CodeRepository.RepositoryUrl)) {
		return advise("Push there and run `aws apprunner start-deployment`, or choose another --name.",
			"%s is deployed from %s, not from a folder", name, aws.ToString(source.CodeRepository.RepositoryUrl))
	}
	return nil
}

// isOurRepository says whether the service's repository is the one that a folder is sent to: by its path, because the
// same apron may be reached under several addresses.
func (d *deployment) isOurRepository(address string) bool {
	return strings.HasSuffix(address, "/git/"+d.flags.name+".git")
}

// send sends the folder to apron's Git server and returns the commit there; "" for an image.
func (d *deployment) send(ctx context.Context, service found) (string, error) {
	if d.wish.image != "" {
		return "", nil
	}
	user, password := d.client.Credentials()
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "apron", "push")
	}
	begun := time.Now()
	result, err := push.Push(ctx, push.Request{
		Dir: d.wish.dir, URL: repositoryURL(d.client.Endpoint(), d.flags.name), Branch: branch,
		User: user, Password: password, Service: d.flags.name, CacheDir: cache,
	})
	if err != nil {
		return "", fmt.Errorf("send the folder: %w", err)
	}
	if result.IsNew {
		d.note("Sent %s: %d files, %s, commit %.7s, in %s", d.wish.dir, result.Files, size(result.Bytes), result.Commit, view.Duration(time.Since(begun)))
	}
	return result.Commit, nil
}

func size(bytes int64) string {
	switch {
	case bytes < 10<<10:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 10<<20:
		return fmt.Sprintf("%d KB", bytes>>10)
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

// create makes the service with its first deployment.
func (d *deployment) create(ctx context.Context) (outcome, error) {
	output, err := d.client.API.CreateService(ctx, &apprunner.CreateServiceInput{
		ServiceName:           &d.flags.name,
		SourceConfiguration:   d.wish.source(d.client.Endpoint(), d.flags.name, nil),
		InstanceConfiguration: d.wish.instance(),
		Tags:                  tagList(d.wish.tags()),
	})
	if err != nil {
		return outcome{}, err
	}
	d.note("Creating %s:", d.flags.name)
	result, _, err := d.finish(ctx, found{*output.Service}, aws.ToString(output.OperationId))
	result.IsNew = true
	return result, err
}

// renew brings a service that is there to what is wished.
func (d *deployment) renew(ctx context.Context, service found, commit string) (outcome, error) {
	source := d.wish.source(d.client.Endpoint(), d.flags.name, service.SourceConfiguration)
	update := &apprunner.UpdateServiceInput{ServiceArn: service.ServiceArn}
	isBroken := service.Status == types.ServiceStatusCreateFailed
	if isBroken || d.changesSource(service, source) {
		update.SourceConfiguration = source
	}
	if size := d.wish.instance(); size != nil && d.changesSize(service, size) {
		update.InstanceConfiguration = size
	}
	isRetagged, err := d.retag(ctx, service)
	if err != nil {
		return outcome{}, err
	}
	if update.SourceConfiguration == nil && update.InstanceConfiguration == nil {
		if d.flags.onlyIfChanged && !isRetagged {
			if runs, err := d.runsAlready(ctx, service, commit); err != nil || runs {
				return d.outcomeOf(service), err
			}
		}
		return d.startDeployment(ctx, service, commit)
	}
	output, err := d.client.API.UpdateService(ctx, update)
	if err != nil {
		return outcome{}, err
	}
	d.note("Updating %s:", d.flags.name)
	result, operation, err := d.finish(ctx, service, aws.ToString(output.OperationId))
	// An update of the size alone starts the image that is there again; what was just sent still has to be built.
	if err != nil || d.flags.doNotWait || d.wish.image != "" || operation.Commit == commit {
		return result, err
	}
	return d.startDeployment(ctx, service, commit)
}

// startDeployment deploys the newest commit, which is the given one, or what the tag means now.
func (d *deployment) startDeployment(ctx context.Context, service found, commit string) (outcome, error) {
	for {
		output, err := d.client.API.StartDeployment(ctx, &apprunner.StartDeploymentInput{ServiceArn: service.ServiceArn})
		if err == nil {
			d.note("Deploying %s:", d.flags.name)
			result, _, err := d.finish(ctx, service, aws.ToString(output.OperationId))
			return result, err
		}
		if !isRefused(err) || d.flags.doNotWait {
			return outcome{}, err
		}
		// Another push started a deployment. It is as good if it is of what was sent here.
		running, lookErr := d.runningDeployment(ctx, service)
		if lookErr != nil || running == "" {
			return outcome{}, err
		}
		d.note("Following the deployment of %s that runs:", d.flags.name)
		result, operation, err := d.finish(ctx, service, running)
		if operation.ID == "" || !operation.IsOver() || operation.Commit == commit {
			return result, err
		}
	}
}

// isRefused says whether the API refused an action for what was asked, as it does while another operation runs.
func isRefused(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch strings.TrimSuffix(api.ErrorCode(), "Exception") {
	case "InvalidRequest", "InvalidState", "ResourceNotFound":
		return true
	}
	return false
}

// runningDeployment returns the id of a deployment that runs on the service, or "".
func (d *deployment) runningDeployment(ctx context.Context, service found) (string, error) {
	operations, err := d.client.Operations(ctx, service.arn(), 1)
	if err != nil || len(operations) == 0 || operations[0].Type != types.OperationTypeStartDeployment || operations[0].EndedAt != nil {
		return "", err
	}
	return aws.ToString(operations[0].Id), nil
}

// finish follows the operation to its end, unless the user does not wait. A failure of the operation is an error.
func (d *deployment) finish(ctx context.Context, service found, id string) (outcome, client.Operation, error) {
	result := d.outcomeOf(service)
	result.OperationID, result.IsChanged = id, true
	if d.flags.doNotWait || id == "" {
		return result, client.Operation{}, nil
	}
	operation, err := d.shell.follow(ctx, d.client, service.arn(), id, !d.flags.isQuiet)
	if err != nil {
		return result, operation, err
	}
	return result, operation, d.shell.judge(operation, d.flags.name, "the deployment of "+d.flags.name)
}

func (d *deployment) outcomeOf(service found) outcome {
	result := outcome{Name: d.flags.name, ServiceArn: service.arn()}
	result.URL, result.PlainURL = d.listeners.Of(aws.ToString(service.ServiceUrl))
	return result
}

// runsAlready says whether the service serves this very commit, by its last deployment.
func (d *deployment) runsAlready(ctx context.Context, service found, commit string) (bool, error) {
	if service.Status != types.ServiceStatusRunning || commit == "" {
		return false, nil
	}
	last, exists, err := d.lastDeployment(ctx, service.arn())
	return exists && last.HasSucceeded() && last.Commit == commit, err
}

// changesSource says whether the service's source would be another by wish. For a folder only what the flags and the
// folder say about building counts.
func (d *deployment) changesSource(service found, wished *types.SourceConfiguration) bool {
	has := service.SourceConfiguration
	if has == nil {
		return true
	}
	if wished.ImageRepository != nil {
		return !reflect.DeepEqual(imageView(has.ImageRepository), imageView(wished.ImageRepository))
	}
	return has.CodeRepository == nil || !reflect.DeepEqual(codeView(has.CodeRepository), codeView(wished.CodeRepository))
}

// imageView and codeView are what of a source a wish can change, in a form that can be compared.
func imageView(image *types.ImageRepository) any {
	if image == nil {
		return nil
	}
	configuration := types.ImageConfiguration{}
	if image.ImageConfiguration != nil {
		configuration = *image.ImageConfiguration
	}
	return []any{
		aws.ToString(image.ImageIdentifier), firstOf(aws.ToString(configuration.Port), "8080"), aws.ToString(configuration.StartCommand),
		nonNil(configuration.RuntimeEnvironmentVariables),
	}
}

func codeView(code *types.CodeRepository) any {
	if code == nil || code.CodeConfiguration == nil || code.CodeConfiguration.ConfigurationSource == types.ConfigurationSourceRepository {
		return types.ConfigurationSourceRepository
	}
	values := types.CodeConfigurationValues{}
	if code.CodeConfiguration.CodeConfigurationValues != nil {
		values = *code.CodeConfiguration.CodeConfigurationValues
	}
	return []any{
		string(values.Runtime), aws.ToString(values.BuildCommand), aws.ToString(values.StartCommand),
		firstOf(aws.ToString(values.Port), "8080"), nonNil(values.RuntimeEnvironmentVariables),
	}
}

func nonNil(variables map[string]string) map[string]string {
	if variables == nil {
		return map[string]string{}
	}
	return variables
}

// changesSize compares what is wished with what the service has; the API tells units and MiB.
func (d *deployment) changesSize(service found, wished *types.InstanceConfiguration) bool {
	has := service.InstanceConfiguration
	if has == nil {
		return true
	}
	differs := func(wished, has *string) bool {
		return wished != nil && plainSize(*wished) != plainSize(aws.ToString(has))
	}
	return differs(wished.Cpu, has.Cpu) || differs(wished.Memory, has.Memory)
}

// note prints a line of progress, which no program reads.
func (d *deployment) note(format string, args ...any) {
	fmt.Fprintf(d.shell.err, format+"\n", args...)
}

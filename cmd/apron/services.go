package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newServices(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "services", Aliases: []string{"ls"}, Short: "List the services",
		Example: "  apron services\n  apron services --output json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			services, err := connected.Services(command.Context())
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, append([]types.ServiceSummary{}, services...))
			}
			listeners, err := connected.Listeners(command.Context())
			if err != nil {
				return err
			}
			if len(services) == 0 {
				_, err := fmt.Fprintln(s.out, "There is no service yet. Bring a folder live with `apron deploy DIR`.")
				return err
			}
			var rows [][]string
			for _, service := range services {
				address, _ := listeners.Of(aws.ToString(service.ServiceUrl))
				rows = append(rows, []string{
					aws.ToString(service.ServiceName), string(service.Status), address,
					view.Ago(aws.ToTime(service.UpdatedAt), time.Now()),
				})
			}
			return view.Table(s.out, []string{"NAME", "STATUS", "URL", "CHANGED"}, rows)
		},
	}
}

func newService(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "service NAME", Short: "Show one service, its instances and its last operation",
		Example: "  apron service my-app\n  apron service arn:aws:apprunner:… --output json",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			ctx := command.Context()
			connected, err := s.connect()
			if err != nil {
				return err
			}
			service, err := connected.Service(ctx, given[0])
			if err != nil {
				return err
			}
			instances, err := connected.Instances(ctx, *service.ServiceArn)
			if err != nil {
				return err
			}
			scaling, err := connected.Scaling(ctx, *service.ServiceArn)
			if err != nil {
				return err
			}
			operations, err := connected.Operations(ctx, *service.ServiceArn, 1)
			if err != nil {
				return err
			}
			tags, err := connected.API.ListTagsForResource(ctx, &apprunner.ListTagsForResourceInput{ResourceArn: service.ServiceArn})
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, map[string]any{
					"Service": service, "Tags": append([]types.Tag{}, tags.Tags...), "Instances": append([]client.Instance{}, instances...), "Scaling": scaling, "LastOperation": first(operations),
				})
			}
			listeners, err := connected.Listeners(ctx)
			if err != nil {
				return err
			}
			fields := append(serviceFields(service, listeners, first(operations)), scalingFields(scaling)...)
			if last := first(operations); last != nil {
				described, err := connected.DescribeOperation(ctx, *service.ServiceArn, aws.ToString(last.Id))
				if err != nil {
					return err
				}
				fields = append(fields, progressFields(described)...)
			}
			private, err := privateOf(ctx, connected, service)
			if err != nil {
				return err
			}
			fields = append(fields, [2]string{"Private", private})
			replaced, err := replacedOf(ctx, connected, *service.ServiceArn)
			if err != nil {
				return err
			}
			fields = append(fields, [2]string{"Replaced", replaced})
			fields = append(fields, settingFields(tags.Tags)...)
			if err := view.Fields(s.out, fields); err != nil {
				return err
			}
			if len(instances) == 0 {
				return nil
			}
			var rows [][]string
			for _, each := range instances {
				rows = append(rows, []string{each.ID, each.State, each.Address, view.Ago(each.StartedAt.Time, time.Now())})
			}
			fmt.Fprintln(s.out)
			return view.Table(s.out, []string{"INSTANCE", "STATE", "ADDRESS", "STARTED"}, rows)
		},
	}
}

// recentEvents is how many lines of the event log are searched for replacements: a service that is replaced as often as
// the backoff allows has fewer in an hour.
const recentEvents = 500

// replacedOf says what instances of a service were replaced lately, and why.
func replacedOf(ctx context.Context, connected *client.Client, arn string) (string, error) {
	lines, _, err := connected.ReadLogs(ctx, arn, "events", "", recentEvents)
	if err != nil {
		return "", err
	}
	events := make([]view.Event, len(lines))
	for i, line := range lines {
		events[i] = view.Event{At: line.Timestamp.Time, Text: line.Message}
	}
	return view.Replaced(events, time.Now()), nil
}

func serviceFields(service types.Service, listeners client.Listeners, last *types.OperationSummary) [][2]string {
	address, plain := listeners.Of(aws.ToString(service.ServiceUrl))
	fields := [][2]string{
		{"Name", aws.ToString(service.ServiceName)},
		{"Status", string(service.Status)},
		{"URL", address},
		{"Without TLS", plain},
		{"ARN", aws.ToString(service.ServiceArn)},
	}
	if source := service.SourceConfiguration; source != nil && source.CodeRepository != nil {
		code := source.CodeRepository
		branch := ""
		if code.SourceCodeVersion != nil {
			branch = " (branch " + aws.ToString(code.SourceCodeVersion.Value) + ")"
		}
		fields = append(fields, [2]string{"Source", withoutPassword(aws.ToString(code.RepositoryUrl)) + branch})
	} else if source != nil && source.ImageRepository != nil {
		fields = append(fields, [2]string{"Source", aws.ToString(source.ImageRepository.ImageIdentifier)})
	}
	if size := service.InstanceConfiguration; size != nil {
		fields = append(fields, [2]string{"Size", fmt.Sprintf("%s CPU units, %s MB", aws.ToString(size.Cpu), aws.ToString(size.Memory))})
	}
	fields = append(fields, [2]string{"Created", view.Ago(aws.ToTime(service.CreatedAt), time.Now())})
	if last != nil {
		fields = append(fields, [2]string{"Last operation", fmt.Sprintf("%s %s %s (%s)",
			last.Type, last.Status, view.Ago(aws.ToTime(last.StartedAt), time.Now()), aws.ToString(last.Id))})
	}
	return fields
}

// scalingFields is how many instances a service has, what they are at, and why there are so many.
func scalingFields(scaling client.Scaling) [][2]string {
	scaled := ""
	if scaling.Reason != "" {
		scaled = fmt.Sprintf("%s (%s)", scaling.Reason, view.Ago(scaling.ChangedAt.Time, time.Now()))
	}
	return [][2]string{
		{"Instances", fmt.Sprintf("%d of %d to %d, %d frozen", scaling.Size, scaling.MinSize, scaling.MaxSize, scaling.Frozen)},
		{"Requests", fmt.Sprintf("%d running, %d waiting", scaling.InFlight, scaling.Waiting)},
		{"Scaled", scaled},
	}
}

// settingFields are a service's tags of apron's own.
func settingFields(tags []types.Tag) (fields [][2]string) {
	label := "Settings"
	for _, tag := range tags {
		if key := aws.ToString(tag.Key); strings.HasPrefix(key, "apron:") {
			fields = append(fields, [2]string{label, key + "=" + aws.ToString(tag.Value)})
			label = ""
		}
	}
	return fields
}

// progressFields is what a service's last operation waits for, why it failed, and what waits for its end.
func progressFields(operation client.Operation) [][2]string {
	cause, next := "", operation.WaitingTrigger
	if operation.Failure != nil {
		cause = operation.Failure.Cause
	}
	switch {
	case next == "":
	case operation.IsOver():
		next = "waits until the service is resumed (" + next + ")"
	default:
		next = "waits for the end of the running operation (" + next + ")"
	}
	return [][2]string{{"Waiting", operation.Place()}, {"Cause", cause}, {"Next deployment", next}}
}

// withoutPassword is a repository's URL without the user and the password that it may carry: a terminal has witnesses.
func withoutPassword(repository string) string {
	parsed, err := url.Parse(repository)
	if err != nil || parsed.User == nil {
		return repository
	}
	parsed.User = nil
	return parsed.String()
}

func first[T any](values []T) *T {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}

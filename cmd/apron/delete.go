package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newDelete(s *shell) *cobra.Command {
	var cancels, removesRepository bool
	command := s.newAction(action{
		use: "delete NAME", short: "Delete a service with its instances, images and logs",
		long: "delete ends the service and forgets its versions and logs. A repository on apron's Git server stays, unless\n" +
			"--repository removes it too: then or later, by the name of the service or of the repository.",
		example: "  apron delete my-app\n  apron delete my-app --repository\n  apron delete my-app --cancel    # also while an operation runs on it",
		start: func(ctx context.Context, connected *client.Client, arn string) (string, error) {
			if cancels {
				if err := s.cancelAny(ctx, connected, arn); err != nil {
					return "", err
				}
			}
			output, err := connected.API.DeleteService(ctx, &apprunner.DeleteServiceInput{ServiceArn: &arn})
			if err != nil {
				return "", err
			}
			return aws.ToString(output.OperationId), nil
		},
		what: "deleting", done: "is deleted", already: "is deleted already",
	})
	deleteService := command.RunE
	command.RunE = func(command *cobra.Command, given []string) error {
		return s.delete(command.Context(), given[0], removesRepository, func() error { return deleteService(command, given) })
	}
	command.Flags().BoolVar(&cancels, "cancel", false, "cancel the operation that runs on the service first")
	command.Flags().BoolVar(&removesRepository, "repository", false, "remove its repository on apron's Git server, too")
	command.MarkFlagsMutuallyExclusive("repository", "no-wait")
	return command
}

// delete deletes a service, and its repository on apron's Git server if that is wished and no other service needs it. A
// repository whose service was deleted before goes by its own name.
func (s *shell) delete(ctx context.Context, name string, removesRepository bool, deleteService func() error) error {
	connected, err := s.connect()
	if err != nil {
		return err
	}
	service, err := connected.Service(ctx, name)
	isGone := errors.Is(err, client.ErrNoService) && repositoryName.MatchString(name)
	if err != nil && !(isGone && removesRepository) {
		return err
	}
	repository := repositoryOf(service)
	if isGone {
		repository = name
	}
	if !removesRepository {
		if err := deleteService(); err != nil || repository == "" {
			return err
		}
		fmt.Fprintf(s.err, "Its repository on apron's Git server stays; `apron delete %s --repository` removes it.\n", repository)
		return nil
	}
	if repository == "" {
		return advise("Leave --repository out.", "%s has no repository on apron's Git server", name)
	}
	if user, err := otherUser(ctx, connected, repository, aws.ToString(service.ServiceArn)); err != nil {
		return err
	} else if user != "" {
		return advise("Delete that one first, or leave --repository out.", "the service %s is deployed from the repository %s", user, repository)
	}
	if !isGone {
		if err := deleteService(); err != nil {
			return err
		}
	}
	return s.removeRepository(ctx, connected, repository, isGone)
}

// removeRepository removes a repository and says so; the answer to a program is already there unless isGone.
func (s *shell) removeRepository(ctx context.Context, connected *client.Client, repository string, isGone bool) error {
	wasThere, err := connected.RemoveRepository(ctx, repository)
	switch {
	case err != nil:
		return err
	case !wasThere && isGone:
		return advise("`apron services` lists the services that are there.", "there is neither a service nor a repository %s", repository)
	case !wasThere:
		return nil
	case !s.isJSON():
		_, err = fmt.Fprintf(s.out, "The repository %s is removed.\n", repository)
	case isGone:
		err = view.JSON(s.out, map[string]string{"Repository": repository})
	}
	return err
}

var (
	repositoryName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	repositoryAddress = regexp.MustCompile(`^https?://[^/]+/git/([A-Za-z0-9][A-Za-z0-9._-]*?)(\.git)?$`)
)

// repositoryOf is the repository on apron's Git server that a service is deployed from; "" for another source.
func repositoryOf(service types.Service) string {
	if service.SourceConfiguration == nil || service.SourceConfiguration.CodeRepository == nil {
		return ""
	}
	match := repositoryAddress.FindStringSubmatch(aws.ToString(service.SourceConfiguration.CodeRepository.RepositoryUrl))
	if match == nil {
		return ""
	}
	return match[1]
}

// otherUser is the name of a service besides arn that is deployed from the repository, or "".
func otherUser(ctx context.Context, connected *client.Client, repository, arn string) (string, error) {
	services, err := connected.Services(ctx)
	if err != nil {
		return "", err
	}
	for _, each := range services {
		if aws.ToString(each.ServiceArn) == arn || each.Status == types.ServiceStatusDeleted {
			continue
		}
		service, err := connected.Service(ctx, aws.ToString(each.ServiceArn))
		if err != nil {
			return "", err
		}
		if repositoryOf(service) == repository {
			return aws.ToString(service.ServiceName), nil
		}
	}
	return "", nil
}

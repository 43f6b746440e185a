package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
)

// The calls that provider 5.100.0 makes for each of its resources, in its order, with what it waits for and what it
// takes for an error. It waits for texts that the SDK's constants do not have, so texts are compared.

// tf is a test of one resource.
type tf struct {
	*testing.T
	sdk   *apprunner.Client
	apron *apron.Apron
}

func TestTerraform(t *testing.T) {
	t.Parallel()
	a := start(t)
	for name, test := range map[string]func(tf){
		"service": tfService, "auto_scaling_configuration_version": tfAutoScaling, "default_auto_scaling_configuration_version": tfDefaultAutoScaling,
		"connection": tfConnection, "observability_configuration": tfObservability, "vpc_connector": tfConnector,
		"vpc_ingress_connection": tfIngress, "custom_domain_association": tfDomain, "deployment": tfDeployment,
	} {
		t.Run(name, func(t *testing.T) { test(tf{t, a.SDK(), a}) })
	}
}

// await is the provider's wait: status is asked again while it is one of pending, and must then be the target. An empty
// status is a resource that is not there.
func (t tf) await(what string, pending []string, target string, status func(context.Context) (string, error)) {
	t.Helper()
	deadline := time.Now().Add(operationTime)
	for {
		got, err := status(t.Context())
		if err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		if got == target {
			return
		}
		if !contains(pending, got) {
			t.Fatalf("wait for %s: unexpected state %q, wanted target %q", what, got, target)
		}
		if time.Now().After(deadline) {
			t.Fatalf("wait for %s: it is still %q", what, got)
		}
		time.Sleep(pollEvery)
	}
}

func contains(list []string, text string) bool {
	for _, each := range list {
		if each == text {
			return true
		}
	}
	return false
}

// must fails the test on an error.
func must[T any](t tf, what string) func(T, error) T {
	return func(output T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return output
	}
}

func isNotFound(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}

var tfTags = []types.Tag{{Key: aws.String("Name"), Value: aws.String("made")}}

// wantTags is what the provider does after each read, and on a change of tags.
func (t tf) wantTags(arn *string) {
	t.Helper()
	read := func() map[string]string {
		output := must[*apprunner.ListTagsForResourceOutput](t, "ListTagsForResource")(t.sdk.ListTagsForResource(t.Context(), &apprunner.ListTagsForResourceInput{ResourceArn: arn}))
		tags := map[string]string{}
		for _, tag := range output.Tags {
			tags[*tag.Key] = *tag.Value
		}
		return tags
	}
	if got := read(); fmt.Sprint(got) != "map[Name:made]" {
		t.Errorf("the tags are %v", got)
	}
	must[*apprunner.UntagResourceOutput](t, "UntagResource")(t.sdk.UntagResource(t.Context(), &apprunner.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"Name"}}))
	must[*apprunner.TagResourceOutput](t, "TagResource")(t.sdk.TagResource(t.Context(), &apprunner.TagResourceInput{
		ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("me")}},
	}))
	if got := read(); fmt.Sprint(got) != "map[Owner:me]" {
		t.Errorf("the tags after their change are %v", got)
	}
}

// tfImage is the pattern that the provider demands of an image; it is not anchored in front.
var tfImage = regexp.MustCompile(`([0-9]{12}\.dkr\.ecr\.[a-z\-]+-[0-9]{1}\.amazonaws\.com\/.*)|(^public\.ecr\.aws\/.+\/.+)`)

// service creates a service as the provider does, and waits as it does.
func (t tf) service(name string, edit func(*apprunner.CreateServiceInput)) types.Service {
	t.Helper()
	const account = "123456789012.dkr.ecr.us-east-1.amazonaws.com/"
	if err := pushImage(t.apron, Push{Tag: account + name + ":live", Version: "one"}); err != nil {
		t.Fatal(err)
	}
	image := t.apron.API + "/" + account + name + ":live"
	if !tfImage.MatchString(image) {
		t.Fatalf("the provider refuses the image %s", image)
	}
	input := &apprunner.CreateServiceInput{
		ServiceName: &name, Tags: tfTags, InstanceConfiguration: &types.InstanceConfiguration{Cpu: aws.String("256"), Memory: aws.String("512")},
		SourceConfiguration: &types.SourceConfiguration{
			AutoDeploymentsEnabled: aws.Bool(false),
			ImageRepository: &types.ImageRepository{
				ImageIdentifier: &image, ImageRepositoryType: types.ImageRepositoryTypeEcr, ImageConfiguration: &types.ImageConfiguration{Port: aws.String("8080")},
			},
		},
	}
	if edit != nil {
		edit(input)
	}
	output := must[*apprunner.CreateServiceOutput](t, "CreateService")(t.sdk.CreateService(t.Context(), input))
	t.awaitService(output.Service.ServiceArn, []string{"OPERATION_IN_PROGRESS"}, "RUNNING")
	return *must[*apprunner.DescribeServiceOutput](t, "DescribeService")(t.sdk.DescribeService(t.Context(), &apprunner.DescribeServiceInput{ServiceArn: output.Service.ServiceArn})).Service
}

func (t tf) awaitService(arn *string, pending []string, target string) {
	t.Helper()
	t.await("the service "+*arn, pending, target, func(ctx context.Context) (string, error) {
		output, err := t.sdk.DescribeService(ctx, &apprunner.DescribeServiceInput{ServiceArn: arn})
		switch {
		case isNotFound(err), err == nil && output.Service.Status == types.ServiceStatusDeleted:
			return "", nil
		case err != nil:
			return "", err
		}
		return string(output.Service.Status), nil
	})
}

func (t tf) removeService(arn *string) {
	t.Helper()
	must[*apprunner.DeleteServiceOutput](t, "DeleteService")(t.sdk.DeleteService(t.Context(), &apprunner.DeleteServiceInput{ServiceArn: arn}))
	t.awaitService(arn, []string{"RUNNING", "OPERATION_IN_PROGRESS"}, "")
}

func tfService(t tf) {
	service := t.service("tf-service", nil)
	// What the provider, and copilot, read without asking whether it is there.
	if service.ServiceUrl == nil || service.AutoScalingConfigurationSummary.AutoScalingConfigurationArn == nil || service.HealthCheckConfiguration.Path == nil ||
		service.NetworkConfiguration.IngressConfiguration == nil || service.NetworkConfiguration.EgressConfiguration == nil ||
		service.ObservabilityConfiguration == nil || service.CreatedAt == nil || service.UpdatedAt == nil ||
		*service.SourceConfiguration.ImageRepository.ImageConfiguration.Port != "8080" {
		t.Errorf("the service lacks what the provider reads: %+v", service)
	}
	// Drift: what was planned as 256 and 512 must be read as that.
	if *service.InstanceConfiguration.Cpu != "256" || *service.InstanceConfiguration.Memory != "512" || service.InstanceConfiguration.InstanceRoleArn != nil {
		t.Errorf("the size is read as %+v", service.InstanceConfiguration)
	}
	t.wantTags(service.ServiceArn)
	must[*apprunner.UpdateServiceOutput](t, "UpdateService")(t.sdk.UpdateService(t.Context(), &apprunner.UpdateServiceInput{
		ServiceArn: service.ServiceArn, HealthCheckConfiguration: &types.HealthCheckConfiguration{Interval: aws.Int32(3), Protocol: types.HealthCheckProtocolTcp},
	}))
	t.awaitService(service.ServiceArn, []string{"OPERATION_IN_PROGRESS"}, "RUNNING")
	read := must[*apprunner.DescribeServiceOutput](t, "DescribeService")(t.sdk.DescribeService(t.Context(), &apprunner.DescribeServiceInput{ServiceArn: service.ServiceArn})).Service
	if *read.HealthCheckConfiguration.Interval != 3 || *read.HealthCheckConfiguration.Timeout != *service.HealthCheckConfiguration.Timeout {
		t.Errorf("after the update the health check is %+v", read.HealthCheckConfiguration)
	}
	t.removeService(service.ServiceArn)
}

func tfAutoScaling(t tf) {
	created := must[*apprunner.CreateAutoScalingConfigurationOutput](t, "CreateAutoScalingConfiguration")(t.sdk.CreateAutoScalingConfiguration(t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: aws.String("tf-scaling"), MaxConcurrency: aws.Int32(50), MinSize: aws.Int32(2), MaxSize: aws.Int32(10), Tags: tfTags,
	})).AutoScalingConfiguration
	describe := &apprunner.DescribeAutoScalingConfigurationInput{AutoScalingConfigurationArn: created.AutoScalingConfigurationArn}
	status := func(ctx context.Context) (string, error) {
		output, err := t.sdk.DescribeAutoScalingConfiguration(ctx, describe)
		if err != nil {
			return "", err
		}
		return string(output.AutoScalingConfiguration.Status), nil
	}
	t.await("the creation", nil, "active", status)
	read := must[*apprunner.DescribeAutoScalingConfigurationOutput](t, "DescribeAutoScalingConfiguration")(t.sdk.DescribeAutoScalingConfiguration(t.Context(), describe)).AutoScalingConfiguration
	if *read.MaxConcurrency != 50 || *read.MinSize != 2 || *read.MaxSize != 10 || !*read.Latest || *read.AutoScalingConfigurationRevision != 1 || read.IsDefault == nil || read.HasAssociatedService == nil {
		t.Errorf("the configuration is read as %+v", read)
	}
	t.wantTags(created.AutoScalingConfigurationArn)
	remove := &apprunner.DeleteAutoScalingConfigurationInput{AutoScalingConfigurationArn: created.AutoScalingConfigurationArn}
	must[*apprunner.DeleteAutoScalingConfigurationOutput](t, "DeleteAutoScalingConfiguration")(t.sdk.DeleteAutoScalingConfiguration(t.Context(), remove))
	t.await("the deletion", []string{"active"}, "inactive", status)
	// A deletion that was made elsewhere is none that fails.
	_, err := t.sdk.DeleteAutoScalingConfiguration(t.Context(), remove)
	wantMessage(t, err, "The auto scaling configuration you specified has been deleted")
}

// wantMessage fails the test unless the error is an InvalidRequestException that holds the text.
func wantMessage(t tf, err error, text string) {
	t.Helper()
	var refused *types.InvalidRequestException
	if !errors.As(err, &refused) || !regexp.MustCompile(regexp.QuoteMeta(text)).MatchString(refused.ErrorMessage()) {
		t.Errorf("the error is %v, want InvalidRequestException with %q", err, text)
	}
}

// The resource takes a configuration that is there, and gives the default back to the built-in one, which it finds by
// its name and revision in the list of all.
func tfDefaultAutoScaling(t tf) {
	created := must[*apprunner.CreateAutoScalingConfigurationOutput](t, "CreateAutoScalingConfiguration")(t.sdk.CreateAutoScalingConfiguration(t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: aws.String("tf-default"),
	})).AutoScalingConfiguration
	set := func(arn *string) {
		t.Helper()
		must[*apprunner.UpdateDefaultAutoScalingConfigurationOutput](t, "UpdateDefaultAutoScalingConfiguration")(
			t.sdk.UpdateDefaultAutoScalingConfiguration(t.Context(), &apprunner.UpdateDefaultAutoScalingConfigurationInput{AutoScalingConfigurationArn: arn}))
	}
	find := func(isIt func(types.AutoScalingConfigurationSummary) bool) *string {
		t.Helper()
		pages := apprunner.NewListAutoScalingConfigurationsPaginator(t.sdk, &apprunner.ListAutoScalingConfigurationsInput{})
		for pages.HasMorePages() {
			for _, each := range must[*apprunner.ListAutoScalingConfigurationsOutput](t, "ListAutoScalingConfigurations")(pages.NextPage(t.Context())).AutoScalingConfigurationSummaryList {
				if isIt(each) {
					return each.AutoScalingConfigurationArn
				}
			}
		}
		t.Fatal("the list does not have the configuration")
		return nil
	}
	isDefault := func(each types.AutoScalingConfigurationSummary) bool { return aws.ToBool(each.IsDefault) }
	set(created.AutoScalingConfigurationArn)
	if got := find(isDefault); *got != *created.AutoScalingConfigurationArn {
		t.Errorf("the default is %s", *got)
	}
	builtin := regexp.MustCompile(`:autoscalingconfiguration/DefaultConfiguration/1/`)
	set(find(func(each types.AutoScalingConfigurationSummary) bool {
		return builtin.MatchString(*each.AutoScalingConfigurationArn)
	}))
	if got := find(isDefault); !builtin.MatchString(*got) {
		t.Errorf("the default after the destruction is %s", *got)
	}
}

func tfConnection(t tf) {
	created := must[*apprunner.CreateConnectionOutput](t, "CreateConnection")(t.sdk.CreateConnection(t.Context(), &apprunner.CreateConnectionInput{
		ConnectionName: aws.String("tf-connection"), ProviderType: types.ProviderTypeGithub, Tags: tfTags,
	})).Connection
	// It is imported by its name, which is all that the provider finds it by.
	find := func(ctx context.Context) (string, error) {
		output, err := t.sdk.ListConnections(ctx, &apprunner.ListConnectionsInput{ConnectionName: aws.String("tf-connection")})
		if err != nil || len(output.ConnectionSummaryList) == 0 {
			return "", err
		}
		if got := output.ConnectionSummaryList[0]; *got.ConnectionArn != *created.ConnectionArn || got.ProviderType != types.ProviderTypeGithub {
			t.Errorf("the connection is read as %+v", got)
		}
		return string(output.ConnectionSummaryList[0].Status), nil
	}
	t.await("the creation", nil, "PENDING_HANDSHAKE", find)
	t.wantTags(created.ConnectionArn)
	must[*apprunner.DeleteConnectionOutput](t, "DeleteConnection")(t.sdk.DeleteConnection(t.Context(), &apprunner.DeleteConnectionInput{ConnectionArn: created.ConnectionArn}))
	t.await("the deletion", []string{"PENDING_HANDSHAKE", "AVAILABLE"}, "", find)
}

func tfObservability(t tf) {
	created := must[*apprunner.CreateObservabilityConfigurationOutput](t, "CreateObservabilityConfiguration")(t.sdk.CreateObservabilityConfiguration(t.Context(), &apprunner.CreateObservabilityConfigurationInput{
		ObservabilityConfigurationName: aws.String("tf-tracing"), TraceConfiguration: &types.TraceConfiguration{Vendor: types.TracingVendorAwsxray}, Tags: tfTags,
	})).ObservabilityConfiguration
	status := func(ctx context.Context) (string, error) {
		output, err := t.sdk.DescribeObservabilityConfiguration(ctx, &apprunner.DescribeObservabilityConfigurationInput{ObservabilityConfigurationArn: created.ObservabilityConfigurationArn})
		if err != nil {
			return "", err
		}
		if got := output.ObservabilityConfiguration; got.TraceConfiguration == nil || got.TraceConfiguration.Vendor != types.TracingVendorAwsxray || got.ObservabilityConfigurationRevision != 1 {
			t.Errorf("the configuration is read as %+v", got)
		}
		return string(output.ObservabilityConfiguration.Status), nil
	}
	t.await("the creation", nil, "ACTIVE", status)
	t.wantTags(created.ObservabilityConfigurationArn)
	must[*apprunner.DeleteObservabilityConfigurationOutput](t, "DeleteObservabilityConfiguration")(t.sdk.DeleteObservabilityConfiguration(t.Context(), &apprunner.DeleteObservabilityConfigurationInput{
		ObservabilityConfigurationArn: created.ObservabilityConfigurationArn,
	}))
	t.await("the deletion", []string{"ACTIVE"}, "INACTIVE", status)
}

func tfConnector(t tf) {
	subnets, groups := []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	created := must[*apprunner.CreateVpcConnectorOutput](t, "CreateVpcConnector")(t.sdk.CreateVpcConnector(t.Context(), &apprunner.CreateVpcConnectorInput{
		VpcConnectorName: aws.String("tf-connector"), Subnets: subnets, SecurityGroups: groups, Tags: tfTags,
	})).VpcConnector
	status := func(ctx context.Context) (string, error) {
		output, err := t.sdk.DescribeVpcConnector(ctx, &apprunner.DescribeVpcConnectorInput{VpcConnectorArn: created.VpcConnectorArn})
		if err != nil {
			return "", err
		}
		// Both force a new resource when they differ from what was planned.
		if got := output.VpcConnector; fmt.Sprint(got.Subnets, got.SecurityGroups) != fmt.Sprint(subnets, groups) {
			t.Errorf("the connector is read as %+v", got)
		}
		return string(output.VpcConnector.Status), nil
	}
	t.await("the creation", nil, "ACTIVE", status)
	t.wantTags(created.VpcConnectorArn)
	must[*apprunner.DeleteVpcConnectorOutput](t, "DeleteVpcConnector")(t.sdk.DeleteVpcConnector(t.Context(), &apprunner.DeleteVpcConnectorInput{VpcConnectorArn: created.VpcConnectorArn}))
	t.await("the deletion", []string{"ACTIVE"}, "INACTIVE", status)
}

func tfIngress(t tf) {
	service := t.service("tf-private", func(input *apprunner.CreateServiceInput) {
		input.NetworkConfiguration = &types.NetworkConfiguration{IngressConfiguration: &types.IngressConfiguration{IsPubliclyAccessible: false}}
	})
	if service.NetworkConfiguration.IngressConfiguration.IsPubliclyAccessible || aws.ToString(service.ServiceUrl) != "" {
		t.Errorf("a private service is read as public: %+v, URL %s", service.NetworkConfiguration.IngressConfiguration, aws.ToString(service.ServiceUrl))
	}
	// Without a URL the provider takes this name.
	domains := must[*apprunner.DescribeCustomDomainsOutput](t, "DescribeCustomDomains")(t.sdk.DescribeCustomDomains(t.Context(), &apprunner.DescribeCustomDomainsInput{ServiceArn: service.ServiceArn}))
	if aws.ToString(domains.DNSTarget) == "" {
		t.Error("a private service has no DNSTarget")
	}
	network := &types.IngressVpcConfiguration{VpcId: aws.String("vpc-0123456789abcdef0"), VpcEndpointId: aws.String("vpce-0123456789abcdef0")}
	created := must[*apprunner.CreateVpcIngressConnectionOutput](t, "CreateVpcIngressConnection")(t.sdk.CreateVpcIngressConnection(t.Context(), &apprunner.CreateVpcIngressConnectionInput{
		ServiceArn: service.ServiceArn, VpcIngressConnectionName: aws.String("tf-ingress"), IngressVpcConfiguration: network, Tags: tfTags,
	})).VpcIngressConnection
	status := func(ctx context.Context) (string, error) {
		output, err := t.sdk.DescribeVpcIngressConnection(ctx, &apprunner.DescribeVpcIngressConnectionInput{VpcIngressConnectionArn: created.VpcIngressConnectionArn})
		switch {
		case isNotFound(err):
			return "DELETED", nil
		case err != nil:
			return "", err
		}
		return string(output.VpcIngressConnection.Status), nil
	}
	t.await("the creation", []string{"PENDING_CREATION"}, "AVAILABLE", status)
	read := must[*apprunner.DescribeVpcIngressConnectionOutput](t, "DescribeVpcIngressConnection")(t.sdk.DescribeVpcIngressConnection(t.Context(), &apprunner.DescribeVpcIngressConnectionInput{
		VpcIngressConnectionArn: created.VpcIngressConnectionArn,
	})).VpcIngressConnection
	if *read.ServiceArn != *service.ServiceArn || *read.IngressVpcConfiguration.VpcId != *network.VpcId || *read.IngressVpcConfiguration.VpcEndpointId != *network.VpcEndpointId || aws.ToString(read.DomainName) == "" {
		t.Errorf("the connection is read as %+v", read)
	}
	t.wantTags(created.VpcIngressConnectionArn)
	must[*apprunner.DeleteVpcIngressConnectionOutput](t, "DeleteVpcIngressConnection")(t.sdk.DeleteVpcIngressConnection(t.Context(), &apprunner.DeleteVpcIngressConnectionInput{
		VpcIngressConnectionArn: created.VpcIngressConnectionArn,
	}))
	t.await("the deletion", []string{"AVAILABLE", "PENDING_DELETION"}, "DELETED", status)
	t.removeService(service.ServiceArn)
}

func tfDomain(t tf) {
	service := t.service("tf-domain", nil)
	const domain = "tf.example.org"
	must[*apprunner.AssociateCustomDomainOutput](t, "AssociateCustomDomain")(t.sdk.AssociateCustomDomain(t.Context(), &apprunner.AssociateCustomDomainInput{
		ServiceArn: service.ServiceArn, DomainName: aws.String(domain), EnableWWWSubdomain: aws.Bool(true),
	}))
	find := func(ctx context.Context) (*types.CustomDomain, error) {
		pages := apprunner.NewDescribeCustomDomainsPaginator(t.sdk, &apprunner.DescribeCustomDomainsInput{ServiceArn: service.ServiceArn})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			if aws.ToString(page.DNSTarget) == "" {
				return nil, errors.New("there is no DNSTarget")
			}
			for _, each := range page.CustomDomains {
				if *each.DomainName == domain {
					return &each, nil
				}
			}
		}
		return nil, nil
	}
	var last types.CustomDomain
	status := func(ctx context.Context) (string, error) {
		found, err := find(ctx)
		if err != nil || found == nil {
			return "", err
		}
		last = *found
		return string(found.Status), nil
	}
	t.await("the creation", []string{"creating"}, "pending_certificate_dns_validation", status)
	if len(last.CertificateValidationRecords) == 0 || last.EnableWWWSubdomain == nil || !*last.EnableWWWSubdomain {
		t.Errorf("the domain is read as %+v", last)
	}
	// A destruction waits from active or deleting only; a pending status is an error there.
	removed := must[*apprunner.DisassociateCustomDomainOutput](t, "DisassociateCustomDomain")(t.sdk.DisassociateCustomDomain(t.Context(), &apprunner.DisassociateCustomDomainInput{
		ServiceArn: service.ServiceArn, DomainName: aws.String(domain),
	}))
	if got := string(removed.CustomDomain.Status); got != "deleting" {
		t.Errorf("the removed domain is %s", got)
	}
	t.await("the deletion", []string{"active", "deleting"}, "", status)
	t.removeService(service.ServiceArn)
}

func tfDeployment(t tf) {
	service := t.service("tf-deployment", nil)
	started := must[*apprunner.StartDeploymentOutput](t, "StartDeployment")(t.sdk.StartDeployment(t.Context(), &apprunner.StartDeploymentInput{ServiceArn: service.ServiceArn}))
	t.await("the deployment", []string{"PENDING", "IN_PROGRESS"}, "SUCCEEDED", func(ctx context.Context) (string, error) {
		pages := apprunner.NewListOperationsPaginator(t.sdk, &apprunner.ListOperationsInput{ServiceArn: service.ServiceArn})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return "", err
			}
			for _, each := range page.OperationSummaryList {
				if *each.Id == *started.OperationId {
					if each.StartedAt == nil {
						return "", errors.New("the operation has no StartedAt")
					}
					return string(each.Status), nil
				}
			}
		}
		return "", nil
	})
	t.removeService(service.ServiceArn)
}

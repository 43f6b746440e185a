package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
)

// changes are the members that CreateService and UpdateService share. A creation applies them to the defaults, an update
// to what is there: a member that is left out stays as it was, at every depth. Maps are one member each.
type changes struct {
	source        *apprunner.SourceConfiguration
	instance      *apprunner.InstanceConfiguration
	health        *apprunner.HealthCheckConfiguration
	autoScaling   *apprunner.AppRunnerResourceARN
	network       *apprunner.NetworkConfiguration
	observability *apprunner.ServiceObservabilityConfiguration
}

// newConfiguration is the configuration that a creation asks for.
func (h *Handler) newConfiguration(ctx context.Context, input *apprunner.CreateServiceRequest, tags map[string]string) (platform.Configuration, error) {
	configuration := platform.DefaultConfiguration()
	scaling, err := h.defaultAutoScaling(ctx)
	if err != nil {
		return configuration, err
	}
	configuration.AutoScaling = scaling
	source := input.SourceConfiguration
	var missing error
	if source.CodeRepository == nil && source.ImageRepository == nil {
		missing = invalidRequest("SourceConfiguration must have one of CodeRepository and ImageRepository, and has neither.")
	}
	if input.EncryptionConfiguration != nil {
		configuration.KMSKey = string(*input.EncryptionConfiguration.KMSKey)
	}
	err = h.apply(ctx, &configuration, tags, changes{
		source, input.InstanceConfiguration, input.HealthCheckConfiguration,
		input.AutoScalingConfigurationARN, input.NetworkConfiguration, input.ObservabilityConfiguration,
	})
	if source.AutoDeploymentsEnabled == nil {
		configuration.Source.IsAutoDeployed = h.isAutoDeployedByDefault(configuration.Source)
	}
	return configuration, errors.Join(missing, err)
}

// updateConfiguration merges an update into a service. It runs inside the transaction that starts the operation.
func (h *Handler) updateConfiguration(ctx context.Context, service *platform.Service, input *apprunner.UpdateServiceRequest) error {
	if source := input.SourceConfiguration; source != nil {
		switch {
		case source.ImageRepository != nil && source.CodeRepository == nil && service.Configuration.Source.Image == nil:
			return invalidRequest("SourceConfiguration.ImageRepository: the service is made from a code repository, and an update cannot change that.")
		case source.CodeRepository != nil && source.ImageRepository == nil && service.Configuration.Source.Code == nil:
			return invalidRequest("SourceConfiguration.CodeRepository: the service is made from an image, and an update cannot change that.")
		}
	}
	before := *service
	err := h.apply(ctx, &service.Configuration, service.Tags, changes{
		input.SourceConfiguration, input.InstanceConfiguration, input.HealthCheckConfiguration,
		input.AutoScalingConfigurationARN, input.NetworkConfiguration, input.ObservabilityConfiguration,
	})
	if err = asOne(err); err == nil {
		err = keepServing(before, *service)
	}
	if err == nil && !before.Configuration.Network.IsPubliclyAccessible && service.Configuration.Network.IsPubliclyAccessible {
		err = h.refuseIngress(ctx, apprunner.UpdateService.Action, service.ID, "made publicly accessible")
	}
	return err
}

// apply changes a configuration. The error has all that is wrong with the changes, for asOne.
func (h *Handler) apply(ctx context.Context, configuration *platform.Configuration, tags map[string]string, changes changes) error {
	var errs []error
	if changes.source != nil {
		errs = append(errs, h.applySource(ctx, &configuration.Source, tags, changes.source))
	}
	if changes.instance != nil {
		errs = append(errs, applyInstance(&configuration.Instance, changes.instance))
	}
	if changes.health != nil {
		errs = append(errs, applyHealthCheck(&configuration.HealthCheck, changes.health))
	}
	if changes.autoScaling != nil {
		scaling, err := h.autoScaling(ctx, *changes.autoScaling)
		configuration.AutoScaling = scaling
		errs = append(errs, err)
	}
	if changes.network != nil {
		errs = append(errs, h.applyNetwork(ctx, &configuration.Network, changes.network))
	}
	if changes.observability != nil {
		chosen, err := h.observability(ctx, changes.observability)
		configuration.Observability = chosen
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func applyInstance(into *platform.InstanceConfiguration, change *apprunner.InstanceConfiguration) error {
	if change.CPU != nil {
		into.CPUUnits = units(string(*change.CPU), " vCPU")
	}
	if change.Memory != nil {
		into.MemoryMiB = units(string(*change.Memory), " GB")
	}
	set(&into.RoleARN, change.InstanceRoleARN)
	sizes := platform.MemorySizes(into.CPUUnits)
	offered := make([]string, len(sizes))
	for i, size := range sizes {
		if size == into.MemoryMiB {
			return nil
		}
		offered[i] = inUnits(size, "GB")
	}
	return invalidRequest("InstanceConfiguration: %s is not offered with %s of memory, but with %s.",
		inUnits(into.CPUUnits, "vCPU"), inUnits(into.MemoryMiB, "GB"), strings.Join(offered, ", "))
}

// units reads "1024" or "1 vCPU" as 1024. The form was validated.
func units(text, unit string) int {
	number, hasUnit := strings.CutSuffix(text, unit)
	value, _ := strconv.ParseFloat(number, 64)
	if hasUnit {
		value *= 1024
	}
	return int(value)
}

func inUnits(value int, unit string) string {
	return fmt.Sprintf("%s %s", strconv.FormatFloat(float64(value)/1024, 'f', -1, 64), unit)
}

func applyHealthCheck(into *platform.HealthCheck, change *apprunner.HealthCheckConfiguration) error {
	set(&into.Protocol, change.Protocol)
	setInt(&into.IntervalSeconds, change.Interval)
	setInt(&into.TimeoutSeconds, change.Timeout)
	setInt(&into.HealthyThreshold, change.HealthyThreshold)
	setInt(&into.UnhealthyThreshold, change.UnhealthyThreshold)
	if change.Path == nil {
		return nil
	}
	path := string(*change.Path)
	if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, isSpaceOrControl) || strings.Contains(path, "#") {
		return invalidRequest("HealthCheckConfiguration.Path must begin with / and hold neither spaces nor #.")
	}
	into.Path = path
	return nil
}

func (h *Handler) applyNetwork(ctx context.Context, into *platform.Network, change *apprunner.NetworkConfiguration) error {
	if change.EgressConfiguration != nil {
		if err := h.applyEgress(ctx, into, change.EgressConfiguration); err != nil {
			return err
		}
	}
	if ingress := change.IngressConfiguration; ingress != nil {
		// Most SDKs leave out a false, so that an empty structure means private.
		into.IsPubliclyAccessible = ingress.IsPubliclyAccessible != nil && *ingress.IsPubliclyAccessible
	}
	set(&into.IPAddressType, change.IPAddressType)
	return nil
}

// applyEgress reads which networks instances are attached to. DEFAULT forgets the connector.
func (h *Handler) applyEgress(ctx context.Context, into *platform.Network, change *apprunner.EgressConfiguration) error {
	const member = "NetworkConfiguration.EgressConfiguration.VpcConnectorArn"
	set(&into.EgressType, change.EgressType)
	if into.EgressType != string(apprunner.EgressTypeVPC) {
		if change.VPCConnectorARN != nil {
			return invalidRequest("%s may be given only when EgressType is VPC.", member)
		}
		into.VPCConnectorARN, into.Subnets = "", nil
		return nil
	}
	if change.VPCConnectorARN == nil {
		if into.VPCConnectorARN == "" {
			return invalidRequest("%s is required when EgressType is VPC.", member)
		}
		return nil
	}
	connector, err := h.refer(ctx, member, platform.ResourceVPCConnector, *change.VPCConnectorARN)
	if err != nil {
		return err
	}
	into.VPCConnectorARN, into.Subnets = connector.ARN, connector.Detail.VPCConnector.Subnets
	return h.checkSubnets(into.Subnets)
}

// set copies a member that is given.
func set[T, F ~string](into *T, from *F) {
	if from != nil {
		*into = T(*from)
	}
}

func setInt[F ~int32](into *int, from *F) {
	if from != nil {
		*into = int(*from)
	}
}

package api

import (
	"strconv"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
)

// wireService is a service as the API shows it.
func (h *Handler) wireService(service platform.Service) *apprunner.Service {
	configuration := service.Configuration
	wire := &apprunner.Service{
		ServiceName:         new(apprunner.ServiceName(service.Name)),
		ServiceID:           new(apprunner.ServiceID(service.ID)),
		ServiceARN:          new(apprunner.AppRunnerResourceARN(service.ARN)),
		ServiceURL:          new(apprunner.String(h.serviceURL(service))),
		CreatedAt:           &service.CreatedAt,
		UpdatedAt:           &service.UpdatedAt,
		DeletedAt:           service.DeletedAt,
		Status:              new(apprunner.ServiceStatus(service.Status)),
		SourceConfiguration: wireSource(configuration.Source),
		InstanceConfiguration: &apprunner.InstanceConfiguration{
			CPU:             new(apprunner.CPU(strconv.Itoa(configuration.Instance.CPUUnits))),
			Memory:          new(apprunner.Memory(strconv.Itoa(configuration.Instance.MemoryMiB))),
			InstanceRoleARN: optional[apprunner.RoleARN](configuration.Instance.RoleARN),
		},
		HealthCheckConfiguration:        wireHealthCheck(configuration.HealthCheck),
		AutoScalingConfigurationSummary: wireAutoScaling(configuration.AutoScaling),
		NetworkConfiguration: &apprunner.NetworkConfiguration{
			EgressConfiguration: &apprunner.EgressConfiguration{
				EgressType:      new(apprunner.EgressType(configuration.Network.EgressType)),
				VPCConnectorARN: optional[apprunner.AppRunnerResourceARN](configuration.Network.VPCConnectorARN),
			},
			IngressConfiguration: &apprunner.IngressConfiguration{IsPubliclyAccessible: &configuration.Network.IsPubliclyAccessible},
			IPAddressType:        new(apprunner.IPAddressType(configuration.Network.IPAddressType)),
		},
		ObservabilityConfiguration: &apprunner.ServiceObservabilityConfiguration{
			ObservabilityEnabled:          &configuration.Observability.IsEnabled,
			ObservabilityConfigurationARN: optional[apprunner.AppRunnerResourceARN](configuration.Observability.ARN),
		},
	}
	if configuration.KMSKey != "" {
		wire.EncryptionConfiguration = &apprunner.EncryptionConfiguration{KMSKey: new(apprunner.KMSKeyARN(configuration.KMSKey))}
	}
	return wire
}

func (h *Handler) wireSummary(service platform.Service) apprunner.ServiceSummary {
	return apprunner.ServiceSummary{
		ServiceName: new(apprunner.ServiceName(service.Name)),
		ServiceID:   new(apprunner.ServiceID(service.ID)),
		ServiceARN:  new(apprunner.AppRunnerResourceARN(service.ARN)),
		ServiceURL:  new(apprunner.String(h.serviceURL(service))),
		CreatedAt:   &service.CreatedAt,
		UpdatedAt:   &service.UpdatedAt,
		Status:      new(apprunner.ServiceStatus(service.Status)),
	}
}

func wireSource(source platform.Source) *apprunner.SourceConfiguration {
	wire := &apprunner.SourceConfiguration{AutoDeploymentsEnabled: &source.IsAutoDeployed}
	if source.Code != nil {
		wire.CodeRepository = wireCode(source.Code)
	}
	if image := source.Image; image != nil {
		wire.ImageRepository = &apprunner.ImageRepository{
			ImageIdentifier:     new(apprunner.ImageIdentifier(image.Identifier)),
			ImageRepositoryType: new(apprunner.ImageRepositoryType(image.RepositoryType)),
			ImageConfiguration: &apprunner.ImageConfiguration{
				RuntimeEnvironmentVariables: wireVariables(image.Environment),
				StartCommand:                optional[apprunner.StartCommand](image.StartCommand),
				Port:                        optional[apprunner.String](image.Port),
				RuntimeEnvironmentSecrets:   wireSecrets(image.Secrets),
			},
		}
	}
	if source.ConnectionARN != "" || source.AccessRoleARN != "" {
		wire.AuthenticationConfiguration = &apprunner.AuthenticationConfiguration{
			ConnectionARN: optional[apprunner.AppRunnerResourceARN](source.ConnectionARN),
			AccessRoleARN: optional[apprunner.RoleARN](source.AccessRoleARN),
		}
	}
	return wire
}

func wireCode(code *platform.CodeSource) *apprunner.CodeRepository {
	wire := &apprunner.CodeRepository{
		RepositoryURL: new(apprunner.String(code.RepositoryURL)),
		SourceCodeVersion: &apprunner.SourceCodeVersion{
			Type:  new(apprunner.SourceCodeVersionTypeBranch),
			Value: new(apprunner.String(code.Branch)),
		},
		SourceDirectory: optional[apprunner.SourceDirectory](code.Directory),
	}
	if !code.UsesConfigurationFile && code.Values == nil {
		return wire // built from a Dockerfile, without a CodeConfiguration
	}
	wire.CodeConfiguration = &apprunner.CodeConfiguration{ConfigurationSource: new(apprunner.ConfigurationSourceAPI)}
	if code.UsesConfigurationFile {
		wire.CodeConfiguration.ConfigurationSource = new(apprunner.ConfigurationSourceRepository)
	}
	if values := code.Values; values != nil {
		wire.CodeConfiguration.CodeConfigurationValues = &apprunner.CodeConfigurationValues{
			Runtime:                     new(apprunner.Runtime(values.Runtime)),
			BuildCommand:                optional[apprunner.BuildCommand](values.BuildCommand),
			StartCommand:                optional[apprunner.StartCommand](values.StartCommand),
			Port:                        optional[apprunner.String](values.Port),
			RuntimeEnvironmentVariables: wireVariables(values.Environment),
			RuntimeEnvironmentSecrets:   wireSecrets(values.Secrets),
		}
	}
	return wire
}

func wireHealthCheck(check platform.HealthCheck) *apprunner.HealthCheckConfiguration {
	return &apprunner.HealthCheckConfiguration{
		Protocol:           new(apprunner.HealthCheckProtocol(check.Protocol)),
		Path:               new(apprunner.HealthCheckPath(check.Path)),
		Interval:           new(apprunner.HealthCheckInterval(check.IntervalSeconds)),
		Timeout:            new(apprunner.HealthCheckTimeout(check.TimeoutSeconds)),
		HealthyThreshold:   new(apprunner.HealthCheckHealthyThreshold(check.HealthyThreshold)),
		UnhealthyThreshold: new(apprunner.HealthCheckUnhealthyThreshold(check.UnhealthyThreshold)),
	}
}

func wireAutoScaling(scaling platform.AutoScaling) *apprunner.AutoScalingConfigurationSummary {
	return &apprunner.AutoScalingConfigurationSummary{
		AutoScalingConfigurationARN:      new(apprunner.AppRunnerResourceARN(scaling.ARN)),
		AutoScalingConfigurationName:     new(apprunner.AutoScalingConfigurationName(scaling.Name)),
		AutoScalingConfigurationRevision: new(apprunner.Integer(scaling.Revision)),
	}
}

func wireVariables(environment map[string]string) apprunner.RuntimeEnvironmentVariables {
	if len(environment) == 0 {
		return nil
	}
	wire := make(apprunner.RuntimeEnvironmentVariables, len(environment))
	for key, value := range environment {
		wire[apprunner.RuntimeEnvironmentVariablesKey(key)] = apprunner.RuntimeEnvironmentVariablesValue(value)
	}
	return wire
}

func wireSecrets(secrets map[string]string) apprunner.RuntimeEnvironmentSecrets {
	if len(secrets) == 0 {
		return nil
	}
	wire := make(apprunner.RuntimeEnvironmentSecrets, len(secrets))
	for key, value := range secrets {
		wire[apprunner.RuntimeEnvironmentSecretsName(key)] = apprunner.RuntimeEnvironmentSecretsValue(value)
	}
	return wire
}

// wireID is an id as the API shows it.
func wireID[ID ~string](id ID) *apprunner.UUID { return new(apprunner.UUID(id)) }

// optional leaves out an empty value.
func optional[T ~string](value string) *T {
	if value == "" {
		return nil
	}
	return new(T(value))
}

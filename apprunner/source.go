package apprunner

// SourceConfiguration is what a service is made from: exactly one of CodeRepository and ImageRepository.
type SourceConfiguration struct {
	CodeRepository              *CodeRepository
	ImageRepository             *ImageRepository
	AutoDeploymentsEnabled      *bool
	AuthenticationConfiguration *AuthenticationConfiguration
}

type AuthenticationConfiguration struct {
	ConnectionARN *AppRunnerResourceARN `api:"ConnectionArn"`
	AccessRoleARN *RoleARN              `api:"AccessRoleArn"`
}

type CodeRepository struct {
	RepositoryURL     *String            `api:"RepositoryUrl,required"`
	SourceCodeVersion *SourceCodeVersion `api:",required"`
	CodeConfiguration *CodeConfiguration
	SourceDirectory   *SourceDirectory
}

type SourceCodeVersion struct {
	Type  *SourceCodeVersionType `api:",required"`
	Value *String                `api:",required"`
}

type CodeConfiguration struct {
	ConfigurationSource     *ConfigurationSource `api:",required"`
	CodeConfigurationValues *CodeConfigurationValues
}

type CodeConfigurationValues struct {
	Runtime                     *Runtime `api:",required"`
	BuildCommand                *BuildCommand
	StartCommand                *StartCommand
	Port                        *String
	RuntimeEnvironmentVariables RuntimeEnvironmentVariables
	RuntimeEnvironmentSecrets   RuntimeEnvironmentSecrets
}

type ImageRepository struct {
	ImageIdentifier     *ImageIdentifier `api:",required"`
	ImageConfiguration  *ImageConfiguration
	ImageRepositoryType *ImageRepositoryType `api:",required"`
}

type ImageConfiguration struct {
	RuntimeEnvironmentVariables RuntimeEnvironmentVariables
	StartCommand                *StartCommand
	Port                        *String
	RuntimeEnvironmentSecrets   RuntimeEnvironmentSecrets
}

type (
	RuntimeEnvironmentVariables map[RuntimeEnvironmentVariablesKey]RuntimeEnvironmentVariablesValue
	RuntimeEnvironmentSecrets   map[RuntimeEnvironmentSecretsName]RuntimeEnvironmentSecretsValue
)

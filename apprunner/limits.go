package apprunner

import (
	"reflect"
	"regexp"
)

// limits says what a scalar allows. A zero min or max is no limit, which is enough because no limit of the model is 0
// in itself.
type limits struct {
	// shape is the scalar's name in the service model; empty for an extension's.
	shape string
	// min and max bound a string's length in characters, or an integer's value.
	min, max int64
	// pattern must match the whole string; its letters are RE2.
	pattern string
	// says is the pattern in words, after "must". One that begins with "be" tells the length too.
	says string
	enum []string
	// isSensitive keeps the value out of errors.
	isSensitive bool

	compiled *regexp.Regexp
}

// table is what each scalar allows (facts: service model 2020-05-15). Where a limit is not the model's, a comment says
// why. The pattern ".*" is left out: there it stands for any text, line breaks included.
var table = map[reflect.Type]*limits{
	// The model's pattern repeats 1011 times, which RE2 refuses; the length says the same.
	of[AppRunnerResourceARN]():             {shape: "AppRunnerResourceArn", min: 1, max: 1011, pattern: `arn:aws(-\w+)*:[a-z0-9\\.-]{0,63}:[a-z0-9\\.-]{0,63}:[0-9]{12}:[\w/-]+`, says: "be an ARN, such as arn:aws:apprunner:us-east-1:000000000000:service/NAME/ID"},
	of[ASConfigMaxConcurrency]():           {shape: "ASConfigMaxConcurrency", min: 1, max: 200},
	of[ASConfigMaxSize]():                  {shape: "ASConfigMaxSize", min: 1},
	of[ASConfigMinSize]():                  {shape: "ASConfigMinSize", min: 1, max: 25},
	of[AutoScalingConfigurationRevision](): {shape: "AutoScalingConfigurationRevision"},
	of[ConnectionName]():                   {shape: "ConnectionName", min: 4, max: 32, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,31}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},
	of[CustomerAccountID]():                {shape: "CustomerAccountId", min: 12, max: 12, pattern: `[0-9]{12}`, says: "be twelve digits"},
	of[DescribeCustomDomainsMaxResults]():  {shape: "DescribeCustomDomainsMaxResults", min: 1, max: 5},
	of[RevisionNumber]():                   {min: 1},
	of[DomainName]():                       {shape: "DomainName", min: 1, max: 255, pattern: `[A-Za-z0-9*.-]{1,255}`, says: "hold only letters, digits, dots, dashes and *"},
	of[MaxConcurrency]():                   {shape: "MaxConcurrency"},
	of[MaxResults]():                       {shape: "MaxResults", min: 1, max: 100},
	of[MaxSize]():                          {shape: "MaxSize"},
	of[MinSize]():                          {shape: "MinSize"},
	of[NextToken]():                        {shape: "NextToken", min: 1, max: 1024},
	of[ObservabilityConfigurationName]():   {shape: "ObservabilityConfigurationName", min: 4, max: 32, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,31}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},
	of[VPCConnectorName]():                 {shape: "VpcConnectorName", min: 4, max: 40, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,39}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},
	of[VPCIngressConnectionName]():         {shape: "VpcIngressConnectionName", min: 4, max: 40, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,39}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},

	of[AutoScalingConfigurationName](): {shape: "AutoScalingConfigurationName", min: 4, max: 32, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,31}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},
	of[BuildCommand]():                 {shape: "BuildCommand", pattern: `[^\x0a\x0d]+`, says: "be one line that is not empty", isSensitive: true},
	of[CPU]():                          {shape: "Cpu", min: 3, max: 9, pattern: `256|512|1024|2048|4096|(0\.25|0\.5|1|2|4) vCPU`, says: "be one of 256, 512, 1024, 2048, 4096 or 0.25, 0.5, 1, 2, 4 followed by \" vCPU\""},
	of[ErrorMessage]():                 {shape: "ErrorMessage", max: maxErrorMessage},

	of[HealthCheckHealthyThreshold]():   {shape: "HealthCheckHealthyThreshold", min: 1, max: 20},
	of[HealthCheckInterval]():           {shape: "HealthCheckInterval", min: 1, max: 20},
	of[HealthCheckPath]():               {shape: "HealthCheckPath", min: 1},
	of[HealthCheckTimeout]():            {shape: "HealthCheckTimeout", min: 1, max: 20},
	of[HealthCheckUnhealthyThreshold](): {shape: "HealthCheckUnhealthyThreshold", min: 1, max: 20},

	// The model allows ECR alone; here any registry is a source. The server parses the reference.
	of[ImageIdentifier]():          {shape: "ImageIdentifier", min: 1, max: 1024},
	of[Integer]():                  {shape: "Integer"},
	of[KMSKeyARN]():                {shape: "KmsKeyArn", max: 256, pattern: `arn:aws(-\w+)*:kms:[a-z]+(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:key/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, says: "be the ARN of a KMS key"},
	of[ListOperationsMaxResults](): {shape: "ListOperationsMaxResults", min: 1, max: 20},
	of[Memory]():                   {shape: "Memory", min: 3, max: 6, pattern: `512|1024|2048|3072|4096|6144|8192|10240|12288|(0\.5|1|2|3|4|6|8|10|12) GB`, says: "be one of 512, 1024, 2048, 3072, 4096, 6144, 8192, 10240, 12288 or 0.5, 1, 2, 3, 4, 6, 8, 10, 12 followed by \" GB\""},
	of[RoleARN]():                  {shape: "RoleArn", min: 29, max: 1024, pattern: `arn:(aws|aws-us-gov|aws-cn|aws-iso|aws-iso-b):iam::[0-9]{12}:(role|role/service-role)/[\w+=,.@/-]{1,1000}`, says: "be the ARN of an IAM role"},

	of[RuntimeEnvironmentSecretsName]():    {shape: "RuntimeEnvironmentSecretsName", min: 1, max: 2048, isSensitive: true},
	of[RuntimeEnvironmentSecretsValue]():   {shape: "RuntimeEnvironmentSecretsValue", min: 1, max: 2048, isSensitive: true},
	of[RuntimeEnvironmentVariablesKey]():   {shape: "RuntimeEnvironmentVariablesKey", min: 1, max: 51200, isSensitive: true},
	of[RuntimeEnvironmentVariablesValue](): {shape: "RuntimeEnvironmentVariablesValue", max: 51200, isSensitive: true},

	// Ids are 32 hex digits without dashes in every answer the service ever gave; the model's patterns have dashes.
	of[ServiceID]():         {shape: "ServiceId", min: 32, max: 32, pattern: `[0-9a-f]{32}`, says: "be 32 hex digits in lower case"},
	of[ServiceMaxResults](): {shape: "ServiceMaxResults", min: 1, max: 20},
	of[ServiceName]():       {shape: "ServiceName", min: 4, max: 40, pattern: `[A-Za-z0-9][A-Za-z0-9_-]{3,39}`, says: "begin with a letter or digit and hold only letters, digits, - and _"},
	of[SourceDirectory]():   {shape: "SourceDirectory", min: 1, max: 4096, pattern: `[^\x00]+`, says: "not hold a NUL"},
	of[StartCommand]():      {shape: "StartCommand", pattern: `[^\x0a\x0d]+`, says: "be one line that is not empty", isSensitive: true},
	// A String may be a URL with a password in it.
	of[String](): {shape: "String", max: 51200, isSensitive: true},
	// RE2 has no look-ahead for the model's "not aws:"; this is the same set of strings.
	of[TagKey]():   {shape: "TagKey", min: 1, max: 128, pattern: `(?s)([^a].*|a|a[^w].*|aw|aw[^s].*|aws|aws[^:].*)`, says: "not begin with aws:"},
	of[TagValue](): {shape: "TagValue", max: 256},
	of[UUID]():     {shape: "UUID", min: 32, max: 32, pattern: `[0-9a-f]{32}`, says: "be 32 hex digits in lower case"},

	of[AutoScalingConfigurationStatus](): {shape: "AutoScalingConfigurationStatus", enum: names(
		AutoScalingConfigurationStatusActive, AutoScalingConfigurationStatusInactive)},
	of[ConfigurationSource](): {shape: "ConfigurationSource", enum: names(ConfigurationSourceRepository, ConfigurationSourceAPI)},
	of[CertificateValidationRecordStatus](): {shape: "CertificateValidationRecordStatus", enum: names(
		CertificateValidationRecordStatusPendingValidation, CertificateValidationRecordStatusSuccess, CertificateValidationRecordStatusFailed)},
	of[ConnectionStatus](): {shape: "ConnectionStatus", enum: names(ConnectionStatusPendingHandshake, ConnectionStatusAvailable,
		ConnectionStatusError, ConnectionStatusDeleted)},
	of[CustomDomainAssociationStatus](): {shape: "CustomDomainAssociationStatus", enum: names(
		CustomDomainAssociationStatusCreating, CustomDomainAssociationStatusCreateFailed, CustomDomainAssociationStatusActive,
		CustomDomainAssociationStatusDeleting, CustomDomainAssociationStatusDeleteFailed,
		CustomDomainAssociationStatusPendingCertificateDNSValidation, CustomDomainAssociationStatusBindingCertificate)},
	of[ObservabilityConfigurationStatus](): {shape: "ObservabilityConfigurationStatus", enum: names(
		ObservabilityConfigurationStatusActive, ObservabilityConfigurationStatusInactive)},
	of[ProviderType]():       {shape: "ProviderType", enum: names(ProviderTypeGitHub, ProviderTypeBitbucket)},
	of[TracingVendor]():      {shape: "TracingVendor", enum: names(TracingVendorAWSXRay)},
	of[VPCConnectorStatus](): {shape: "VpcConnectorStatus", enum: names(VPCConnectorStatusActive, VPCConnectorStatusInactive)},
	of[VPCIngressConnectionStatus](): {shape: "VpcIngressConnectionStatus", enum: names(VPCIngressConnectionStatusAvailable,
		VPCIngressConnectionStatusPendingCreation, VPCIngressConnectionStatusPendingUpdate, VPCIngressConnectionStatusPendingDeletion,
		VPCIngressConnectionStatusFailedCreation, VPCIngressConnectionStatusFailedUpdate, VPCIngressConnectionStatusFailedDeletion,
		VPCIngressConnectionStatusDeleted)},
	of[EgressType]():          {shape: "EgressType", enum: names(EgressTypeDefault, EgressTypeVPC)},
	of[HealthCheckProtocol](): {shape: "HealthCheckProtocol", enum: names(HealthCheckProtocolTCP, HealthCheckProtocolHTTP)},
	of[ImageRepositoryType](): {shape: "ImageRepositoryType", enum: names(ImageRepositoryTypeECR, ImageRepositoryTypeECRPublic)},
	of[IPAddressType]():       {shape: "IpAddressType", enum: names(IPAddressTypeIPv4, IPAddressTypeDualStack)},
	of[OperationStatus](): {shape: "OperationStatus", enum: names(OperationStatusPending, OperationStatusInProgress,
		OperationStatusFailed, OperationStatusSucceeded, OperationStatusRollbackInProgress, OperationStatusRollbackFailed,
		OperationStatusRollbackSucceeded)},
	of[OperationType](): {shape: "OperationType", enum: names(OperationTypeStartDeployment, OperationTypeCreateService,
		OperationTypePauseService, OperationTypeResumeService, OperationTypeDeleteService, OperationTypeUpdateService)},
	of[Runtime](): {shape: "Runtime", enum: names(RuntimePython3, RuntimeNodeJS12, RuntimeNodeJS14, RuntimeCorretto8,
		RuntimeCorretto11, RuntimeNodeJS16, RuntimeGo1, RuntimeDotNet6, RuntimePHP81, RuntimeRuby31, RuntimePython311,
		RuntimeNodeJS18, RuntimeNodeJS22)},
	of[ServiceStatus](): {shape: "ServiceStatus", enum: names(ServiceStatusCreateFailed, ServiceStatusRunning,
		ServiceStatusDeleted, ServiceStatusDeleteFailed, ServiceStatusPaused, ServiceStatusOperationInProgress)},
	of[SourceCodeVersionType](): {shape: "SourceCodeVersionType", enum: names(SourceCodeVersionTypeBranch)},

	// Extensions.
	of[GitSecret]():   {min: 1, max: 16384, isSensitive: true},
	of[Limit]():       {min: 1, max: 10_000},
	of[StreamName]():  {min: 1, max: 64, pattern: `events|application|access|(deployment|instance)/[0-9a-f]{32}`, says: "be events, application, access, deployment/OPERATION_ID or instance/INSTANCE_ID"},
	of[SecretName]():  {min: 1, max: 512, pattern: `[A-Za-z0-9/_+=.@-]+`, says: "hold only letters, digits and characters of /_+=.@-"},
	of[SecretValue](): {min: 1, max: 65536, isSensitive: true},
	of[RuntimeName](): {min: 1, max: 40, pattern: `[a-z0-9]+`, says: "hold only small letters and digits"},
	of[LineNumber]():  {},
	of[NetworkName](): {min: 1, max: 32, pattern: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, says: "hold only small letters, digits and dashes, and neither begin nor end with a dash"},
	of[BridgeName]():  {min: 1, max: 15, pattern: `[^\s/:]+`, says: "be the name of a bridge of the host"},
	of[CIDR]():        {min: 9, max: 18, pattern: `[0-9]+(\.[0-9]+){3}/[0-9]+`, says: "be a range of IPv4 addresses, such as 10.20.0.0/24"},
	of[TCPPort]():     {min: 1, max: 65535},
}

// Patterns are compiled once; one that does not compile is a mistake in this file.
func init() {
	for _, scalar := range table {
		if scalar.pattern != "" {
			scalar.compiled = regexp.MustCompile(`\A(?:` + scalar.pattern + `)\z`)
		}
	}
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

func names[E ~string](values ...E) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}

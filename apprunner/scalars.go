package apprunner

import "time"

// Scalars are named as in the service model, with Go's spelling of initialisms. What each allows is in the table of
// limits.go.
type (
	AppRunnerResourceARN             string
	ASConfigMaxConcurrency           int32
	ASConfigMaxSize                  int32
	ASConfigMinSize                  int32
	AutoScalingConfigurationName     string
	AutoScalingConfigurationRevision int32
	BuildCommand                     string
	ConnectionName                   string
	CPU                              string
	CustomerAccountID                string
	DescribeCustomDomainsMaxResults  int32
	DomainName                       string
	ErrorMessage                     string
	HealthCheckHealthyThreshold      int32
	HealthCheckInterval              int32
	HealthCheckPath                  string
	HealthCheckTimeout               int32
	HealthCheckUnhealthyThreshold    int32
	ImageIdentifier                  string
	Integer                          int32
	KMSKeyARN                        string
	ListOperationsMaxResults         int32
	MaxConcurrency                   int32
	MaxResults                       int32
	MaxSize                          int32
	Memory                           string
	MinSize                          int32
	NextToken                        string
	ObservabilityConfigurationName   string
	RoleARN                          string
	RuntimeEnvironmentSecretsName    string
	RuntimeEnvironmentSecretsValue   string
	RuntimeEnvironmentVariablesKey   string
	RuntimeEnvironmentVariablesValue string
	ServiceID                        string
	ServiceMaxResults                int32
	ServiceName                      string
	SourceDirectory                  string
	StartCommand                     string
	String                           string
	TagKey                           string
	TagValue                         string
	UUID                             string
	VPCConnectorName                 string
	VPCIngressConnectionName         string
)

// Shapes that are types of Go itself.
type (
	Boolean              = bool
	HasAssociatedService = bool
	IsDefault            = bool
	Latest               = bool
	NullableBoolean      = bool
	Timestamp            = time.Time
)

// Enums.
type (
	AutoScalingConfigurationStatus    string
	CertificateValidationRecordStatus string
	ConfigurationSource               string
	ConnectionStatus                  string
	CustomDomainAssociationStatus     string
	EgressType                        string
	HealthCheckProtocol               string
	ImageRepositoryType               string
	IPAddressType                     string
	ObservabilityConfigurationStatus  string
	OperationStatus                   string
	OperationType                     string
	ProviderType                      string
	Runtime                           string
	ServiceStatus                     string
	SourceCodeVersionType             string
	TracingVendor                     string
	VPCConnectorStatus                string
	VPCIngressConnectionStatus        string
)

const (
	ConfigurationSourceRepository ConfigurationSource = "REPOSITORY"
	ConfigurationSourceAPI        ConfigurationSource = "API"

	EgressTypeDefault EgressType = "DEFAULT"
	EgressTypeVPC     EgressType = "VPC"

	HealthCheckProtocolTCP  HealthCheckProtocol = "TCP"
	HealthCheckProtocolHTTP HealthCheckProtocol = "HTTP"

	ImageRepositoryTypeECR       ImageRepositoryType = "ECR"
	ImageRepositoryTypeECRPublic ImageRepositoryType = "ECR_PUBLIC"

	IPAddressTypeIPv4      IPAddressType = "IPV4"
	IPAddressTypeDualStack IPAddressType = "DUAL_STACK"

	ProviderTypeGitHub    ProviderType = "GITHUB"
	ProviderTypeBitbucket ProviderType = "BITBUCKET"

	SourceCodeVersionTypeBranch SourceCodeVersionType = "BRANCH"

	TracingVendorAWSXRay TracingVendor = "AWSXRAY"
)

// AutoScalingConfigurationStatus is in lower case on the wire, whatever the model says: that is what the service always
// answered, and Terraform and copilot wait for it.
const (
	AutoScalingConfigurationStatusActive   AutoScalingConfigurationStatus = "active"
	AutoScalingConfigurationStatusInactive AutoScalingConfigurationStatus = "inactive"
)

// CustomDomainAssociationStatus is in lower case on the wire, for the same reason.
const (
	CustomDomainAssociationStatusCreating                        CustomDomainAssociationStatus = "creating"
	CustomDomainAssociationStatusCreateFailed                    CustomDomainAssociationStatus = "create_failed"
	CustomDomainAssociationStatusActive                          CustomDomainAssociationStatus = "active"
	CustomDomainAssociationStatusDeleting                        CustomDomainAssociationStatus = "deleting"
	CustomDomainAssociationStatusDeleteFailed                    CustomDomainAssociationStatus = "delete_failed"
	CustomDomainAssociationStatusPendingCertificateDNSValidation CustomDomainAssociationStatus = "pending_certificate_dns_validation"
	CustomDomainAssociationStatusBindingCertificate              CustomDomainAssociationStatus = "binding_certificate"
)

const (
	CertificateValidationRecordStatusPendingValidation CertificateValidationRecordStatus = "PENDING_VALIDATION"
	CertificateValidationRecordStatusSuccess           CertificateValidationRecordStatus = "SUCCESS"
	CertificateValidationRecordStatusFailed            CertificateValidationRecordStatus = "FAILED"
)

const (
	ConnectionStatusPendingHandshake ConnectionStatus = "PENDING_HANDSHAKE"
	ConnectionStatusAvailable        ConnectionStatus = "AVAILABLE"
	ConnectionStatusError            ConnectionStatus = "ERROR"
	ConnectionStatusDeleted          ConnectionStatus = "DELETED"
)

const (
	ObservabilityConfigurationStatusActive   ObservabilityConfigurationStatus = "ACTIVE"
	ObservabilityConfigurationStatusInactive ObservabilityConfigurationStatus = "INACTIVE"
)

const (
	VPCConnectorStatusActive   VPCConnectorStatus = "ACTIVE"
	VPCConnectorStatusInactive VPCConnectorStatus = "INACTIVE"
)

const (
	VPCIngressConnectionStatusAvailable       VPCIngressConnectionStatus = "AVAILABLE"
	VPCIngressConnectionStatusPendingCreation VPCIngressConnectionStatus = "PENDING_CREATION"
	VPCIngressConnectionStatusPendingUpdate   VPCIngressConnectionStatus = "PENDING_UPDATE"
	VPCIngressConnectionStatusPendingDeletion VPCIngressConnectionStatus = "PENDING_DELETION"
	VPCIngressConnectionStatusFailedCreation  VPCIngressConnectionStatus = "FAILED_CREATION"
	VPCIngressConnectionStatusFailedUpdate    VPCIngressConnectionStatus = "FAILED_UPDATE"
	VPCIngressConnectionStatusFailedDeletion  VPCIngressConnectionStatus = "FAILED_DELETION"
	VPCIngressConnectionStatusDeleted         VPCIngressConnectionStatus = "DELETED"
)

const (
	OperationStatusPending            OperationStatus = "PENDING"
	OperationStatusInProgress         OperationStatus = "IN_PROGRESS"
	OperationStatusFailed             OperationStatus = "FAILED"
	OperationStatusSucceeded          OperationStatus = "SUCCEEDED"
	OperationStatusRollbackInProgress OperationStatus = "ROLLBACK_IN_PROGRESS"
	OperationStatusRollbackFailed     OperationStatus = "ROLLBACK_FAILED"
	OperationStatusRollbackSucceeded  OperationStatus = "ROLLBACK_SUCCEEDED"
)

const (
	OperationTypeStartDeployment OperationType = "START_DEPLOYMENT"
	OperationTypeCreateService   OperationType = "CREATE_SERVICE"
	OperationTypePauseService    OperationType = "PAUSE_SERVICE"
	OperationTypeResumeService   OperationType = "RESUME_SERVICE"
	OperationTypeDeleteService   OperationType = "DELETE_SERVICE"
	OperationTypeUpdateService   OperationType = "UPDATE_SERVICE"
)

const (
	RuntimePython3    Runtime = "PYTHON_3"
	RuntimeNodeJS12   Runtime = "NODEJS_12"
	RuntimeNodeJS14   Runtime = "NODEJS_14"
	RuntimeCorretto8  Runtime = "CORRETTO_8"
	RuntimeCorretto11 Runtime = "CORRETTO_11"
	RuntimeNodeJS16   Runtime = "NODEJS_16"
	RuntimeGo1        Runtime = "GO_1"
	RuntimeDotNet6    Runtime = "DOTNET_6"
	RuntimePHP81      Runtime = "PHP_81"
	RuntimeRuby31     Runtime = "RUBY_31"
	RuntimePython311  Runtime = "PYTHON_311"
	RuntimeNodeJS18   Runtime = "NODEJS_18"
	RuntimeNodeJS22   Runtime = "NODEJS_22"
)

const (
	ServiceStatusCreateFailed        ServiceStatus = "CREATE_FAILED"
	ServiceStatusRunning             ServiceStatus = "RUNNING"
	ServiceStatusDeleted             ServiceStatus = "DELETED"
	ServiceStatusDeleteFailed        ServiceStatus = "DELETE_FAILED"
	ServiceStatusPaused              ServiceStatus = "PAUSED"
	ServiceStatusOperationInProgress ServiceStatus = "OPERATION_IN_PROGRESS"
)

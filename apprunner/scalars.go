package apprunner

// Scalars are named as in the service model, with Go's spelling of initialisms. What each allows is in the table of
// limits.go.
type (
	AppRunnerResourceARN             string
	AutoScalingConfigurationName     string
	BuildCommand                     string
	CPU                              string
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
	Memory                           string
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
)

// Enums.
type (
	AutoScalingConfigurationStatus string
	ConfigurationSource            string
	EgressType                     string
	HealthCheckProtocol            string
	ImageRepositoryType            string
	IPAddressType                  string
	OperationStatus                string
	OperationType                  string
	Runtime                        string
	ServiceStatus                  string
	SourceCodeVersionType          string
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

	SourceCodeVersionTypeBranch SourceCodeVersionType = "BRANCH"
)

// AutoScalingConfigurationStatus is in lower case on the wire, whatever the model says: that is what the service always
// answered, and Terraform and copilot wait for it.
const (
	AutoScalingConfigurationStatusActive   AutoScalingConfigurationStatus = "active"
	AutoScalingConfigurationStatusInactive AutoScalingConfigurationStatus = "inactive"
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

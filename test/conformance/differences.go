package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// difference is where apron does not do what App Runner does, or what App Runner's model says.
type difference struct {
	// actions are where it shows; none means everywhere.
	actions []string
	// what is its subject, how it differs, and why.
	what, how, why string
}

// differences are told in docs/compatibility.md, by their numbers.
var differences = []difference{
	{
		[]string{"CreateService", "UpdateService"}, "Images.", "`ImageIdentifier` is any image reference, not only one of ECR.",
		"a self-hosted server has no ECR; images come from its own registry, or from any other.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Repositories.", "`RepositoryUrl` is any Git URL, and `ConnectionArn` is not required.",
		"code may lie on any Git server, and a public repository needs no connection.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Runtimes.", "A runtime that is not built here is refused with `InvalidRequestException`, which names those that are.",
		"App Runner refuses new services of runtimes whose support has ended, too.",
	},
	{
		[]string{"CreateService", "DescribeService", "ListServices"}, "URLs.", "`ServiceUrl` ends with the domain of the installation, not with `awsapprunner.com`, and has the port of plain HTTP unless HTTPS is at 443, where none is needed. `apron open` prints the URL by HTTPS.",
		"that name leads to AWS.",
	},
	{
		[]string{"AssociateCustomDomain", "DescribeCustomDomains", "DisassociateCustomDomain"}, "Where domains lead.", "`DNSTarget` is the name in `ServiceUrl`, without the port.",
		"a CNAME record holds a name.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Roles and keys.", "`AccessRoleArn`, `InstanceRoleArn` and `KmsKey` are checked, kept and shown.",
		"there is neither IAM nor KMS to ask.",
	},
	{
		[]string{"CreateService", "TagResource"}, "Tags of apron's own.", "A tag whose key begins with `apron:` must be one that there is, and its value is checked.",
		"they choose what App Runner has no member for, such as a build by a Dockerfile.",
	},
	{
		[]string{"DescribeService", "ListOperations"}, "Ids.", "`ServiceId` and `OperationId` are 32 hex digits without dashes, although the model's patterns have dashes.",
		"App Runner answers them like this.",
	},
	{
		[]string{
			"AssociateCustomDomain", "CreateAutoScalingConfiguration", "DeleteAutoScalingConfiguration", "DescribeAutoScalingConfiguration",
			"DescribeCustomDomains", "DisassociateCustomDomain", "ListAutoScalingConfigurations", "UpdateDefaultAutoScalingConfiguration",
		},
		"Statuses in lower case.", "The status of an auto scaling configuration and of a custom domain is in lower case, although the model has upper case.",
		"App Runner answers them like this, and Terraform waits for it.",
	},
	{
		[]string{"ListAutoScalingConfigurations"}, "All revisions.", "Without `LatestOnly` all revisions are listed, although the documentation says that it is true when it is absent.",
		"clients leave `false` out, so that absent must mean false.",
	},
	{
		[]string{"StartDeployment"}, "State.", "A service that is neither `RUNNING` nor `CREATE_FAILED` is refused with `InvalidRequestException`.",
		"the model declares no `InvalidStateException` for this action; and what made a creation fail may be mended in its repository.",
	},
	{
		[]string{"AssociateCustomDomain", "CreateVpcIngressConnection"}, "What is not there.", "A service that is not there is refused with `InvalidRequestException`.",
		"the model declares no `ResourceNotFoundException` for these actions.",
	},
	{
		[]string{"CreateConnection"}, "Handshakes.", "A connection is authorized on the machine, not in a console of AWS.",
		"there is no such console, and the API has no action for it.",
	},
	{
		[]string{"CreateVpcConnector", "CreateVpcIngressConnection", "UpdateVpcIngressConnection"}, "Networks.", "Ids of VPCs, subnets, security groups and endpoints are not looked up in AWS.",
		"there is no VPC below a machine of one's own.",
	},
	{
		[]string{
			"CreateAutoScalingConfiguration", "CreateConnection", "CreateObservabilityConfiguration", "CreateService", "CreateVpcConnector",
			"CreateVpcIngressConnection",
		},
		"Quotas.", "There are no quotas unless the installation sets them; then their errors are App Runner's.",
		"the machine's capacity is its owner's business.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Automatic deployments.", "`AutoDeploymentsEnabled` may be true for every source. What is pushed while a service is paused is deployed when it is resumed, and not at the next push only.",
		"webhooks and polling reach every repository and registry; and whoever resumes a service expects what was pushed.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Secrets.", "The references of `RuntimeEnvironmentSecrets` stand for secrets that apron keeps, by their names; region and account are not looked at.",
		"there is neither Secrets Manager nor Parameter Store to ask, and configurations written for App Runner work as they are.",
	},
	{
		[]string{"CreateAutoScalingConfiguration", "CreateService", "UpdateService"}, "Scaling.", "Requests beyond `MaxConcurrency` in every instance wait, and are refused with 429 only when too many wait already. The tag `apron:min-size` replaces `MinSize`; with 0 the last instance is stopped while there are no requests, and the next request starts one.",
		"a request that waits a moment is better than one that is lost, and App Runner's model has no words for a service at zero.",
	},
	{
		[]string{"CreateObservabilityConfiguration", "CreateService", "UpdateService"}, "Traces.", "Observability configurations are kept, shown and protected while they are in use; instances have no collector of traces beside them. `X-Amzn-Trace-Id` and `traceparent` are passed on, or begun, for every service.",
		"there is no X-Ray to send traces to.",
	},
	{
		[]string{"CreateService", "UpdateService"}, "Address types.", "`IpAddressType` is kept and shown; the addresses that the listeners have decide.",
		"listeners belong to the installation and are shared by all services.",
	},
	{
		nil, "Members that there are not.", "A member that the model does not have is refused with `SerializationException`, by every action; App Runner takes no notice of it.",
		"it is a misspelled one, and nobody would hear that it has no effect.",
	},
}

// referencesOf is what an action's row says in its last column.
func referencesOf(action string) string {
	var numbers []string
	for i, each := range differences {
		if slices.Contains(each.actions, action) {
			numbers = append(numbers, fmt.Sprint(i+1))
		}
	}
	if len(numbers) == 0 {
		return "none"
	}
	return strings.Join(numbers, ", ")
}

const compatibilityHead = `# Compatibility

<!-- Written by "make compatibility" from what the tests in test/conformance saw. Do not edit. -->

Four clients of App Runner, installed as they are published, run one script against apron: every action with good and with
bad inputs, in every state of a service, page by page. Each has an apron of its own. A test fails when this page is not
what came of it.

- *Passed*: the answer, or the error, was the one of App Runner.
- *Refused by the client*: the input is wrong, and the client says so before it sends anything.
- *Older than the action*: the client's version was made before App Runner had the action or the member. Debian's AWS CLI
  and boto3 are of 2022.

Requests that no client sends (broken JSON, unknown actions, wrong signatures) are in test/conformance/raw_test.go, and
the calls that Terraform's provider makes are in test/conformance/terraform_test.go.
`

const compatibilityColumns = `The columns of the clients say how many steps of the script passed. The numbers under "Differences" lead to the list below.
`

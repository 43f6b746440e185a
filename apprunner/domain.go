package apprunner

type AssociateCustomDomainRequest struct {
	ServiceARN         *AppRunnerResourceARN `api:"ServiceArn,required"`
	DomainName         *DomainName           `api:",required"`
	EnableWWWSubdomain *bool
}

type AssociateCustomDomainResponse struct {
	DNSTarget     *String               `api:",required"`
	ServiceARN    *AppRunnerResourceARN `api:"ServiceArn,required"`
	CustomDomain  *CustomDomain         `api:",required"`
	VPCDNSTargets VPCDNSTargetList      `api:"VpcDNSTargets,required"`
}

type DescribeCustomDomainsRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	NextToken  *String
	MaxResults *DescribeCustomDomainsMaxResults
}

type DescribeCustomDomainsResponse struct {
	DNSTarget     *String               `api:",required"`
	ServiceARN    *AppRunnerResourceARN `api:"ServiceArn,required"`
	CustomDomains CustomDomainList      `api:",required"`
	VPCDNSTargets VPCDNSTargetList      `api:"VpcDNSTargets,required"`
	NextToken     *String
}

type DisassociateCustomDomainRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	DomainName *DomainName           `api:",required"`
}

type DisassociateCustomDomainResponse struct {
	DNSTarget     *String               `api:",required"`
	ServiceARN    *AppRunnerResourceARN `api:"ServiceArn,required"`
	CustomDomain  *CustomDomain         `api:",required"`
	VPCDNSTargets VPCDNSTargetList      `api:"VpcDNSTargets,required"`
}

// CustomDomain is a name of the customer that a service answers to.
type CustomDomain struct {
	DomainName                   *DomainName `api:",required"`
	EnableWWWSubdomain           *bool       `api:",required"`
	CertificateValidationRecords CertificateValidationRecordList
	Status                       *CustomDomainAssociationStatus `api:",required"`
}

type CustomDomainList []CustomDomain

// CertificateValidationRecord is a DNS record that proves to the certificate's authority who owns a domain.
type CertificateValidationRecord struct {
	Name   *String
	Type   *String
	Value  *String
	Status *CertificateValidationRecordStatus
}

type CertificateValidationRecordList []CertificateValidationRecord

// VPCDNSTarget is where a custom domain points inside a network.
type VPCDNSTarget struct {
	VPCIngressConnectionARN *AppRunnerResourceARN `api:"VpcIngressConnectionArn"`
	VPCID                   *String               `api:"VpcId"`
	DomainName              *DomainName
}

type VPCDNSTargetList []VPCDNSTarget

package apprunner

import "time"

type CreateConnectionRequest struct {
	ConnectionName *ConnectionName `api:",required"`
	ProviderType   *ProviderType   `api:",required"`
	Tags           TagList
}

type CreateConnectionResponse struct {
	Connection *Connection `api:",required"`
}

type ListConnectionsRequest struct {
	ConnectionName *ConnectionName
	MaxResults     *MaxResults
	NextToken      *NextToken
}

type ListConnectionsResponse struct {
	ConnectionSummaryList ConnectionSummaryList `api:",required"`
	NextToken             *NextToken
}

type DeleteConnectionRequest struct {
	ConnectionARN *AppRunnerResourceARN `api:"ConnectionArn,required"`
}

type DeleteConnectionResponse struct {
	Connection *Connection
}

// Connection holds the credentials of a Git host for the services that use it.
type Connection struct {
	ConnectionName *ConnectionName
	ConnectionARN  *AppRunnerResourceARN `api:"ConnectionArn"`
	ProviderType   *ProviderType
	Status         *ConnectionStatus
	CreatedAt      *time.Time
}

// ConnectionSummary is a Connection in a list.
type ConnectionSummary struct {
	ConnectionName *ConnectionName
	ConnectionARN  *AppRunnerResourceARN `api:"ConnectionArn"`
	ProviderType   *ProviderType
	Status         *ConnectionStatus
	CreatedAt      *time.Time
}

type ConnectionSummaryList []ConnectionSummary

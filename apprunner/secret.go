package apprunner

import "time"

// Shapes of the extension actions on secrets: named values that services' variables refer to.

// SecretName is a name of Secrets Manager's or Parameter Store's. A slash before it makes no difference.
type SecretName string

// SecretValue is in no answer.
type SecretValue string

// PutSecretRequest stores a value under a name, in place of the one that was there.
type PutSecretRequest struct {
	Name  *SecretName  `api:",required"`
	Value *SecretValue `api:",required"`
}

type PutSecretResponse struct {
	Secret *Secret `api:",required"`
}

type ListSecretsRequest struct{}

type ListSecretsResponse struct {
	Secrets SecretList `api:",required"`
}

type DeleteSecretRequest struct {
	Name *SecretName `api:",required"`
}

type DeleteSecretResponse struct {
	Secret *Secret `api:",required"`
}

// Secret is a named value, without the value.
type Secret struct {
	Name      *SecretName `api:",required"`
	CreatedAt *time.Time  `api:",required"`
	// ChangedAt is when the value was stored.
	ChangedAt *time.Time `api:",required"`
}

type SecretList []Secret

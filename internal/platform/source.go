package platform

import "maps"

// Source is what a Service is made from: exactly one of Code and Image.
type Source struct {
	Code  *CodeSource  `json:",omitempty"`
	Image *ImageSource `json:",omitempty"`
	// IsAutoDeployed says whether a push starts a deployment.
	IsAutoDeployed bool
	// ConnectionARN and AccessRoleARN are the authentication the API was given; remembered and shown.
	ConnectionARN string `json:",omitempty"`
	AccessRoleARN string `json:",omitempty"`
}

// CodeSource is a branch of a Git repository and how to build it.
type CodeSource struct {
	RepositoryURL string
	Branch        string
	// Directory is the folder that is built, absolute from the repository's root; "/" for the root.
	Directory string
	// UsesConfigurationFile says that apprunner.yaml decides (ConfigurationSource REPOSITORY), not Values.
	UsesConfigurationFile bool
	// Values are CodeConfigurationValues, kept even where the file decides, because the API shows them.
	Values *CodeValues `json:",omitempty"`
}

// CodeValues is how to build and start code without an apprunner.yaml.
type CodeValues struct {
	// Runtime is the API's enum: PYTHON_311, NODEJS_22, GO_1, …
	Runtime      string
	BuildCommand string `json:",omitempty"`
	StartCommand string `json:",omitempty"`
	Port         string `json:",omitempty"`
	Environment  map[string]string
	// Secrets maps a variable's name to the reference of its value.
	Secrets map[string]string
}

// ImageSource is an image in a registry and how to start it.
type ImageSource struct {
	// Identifier is the reference as the API was given it.
	Identifier string
	// RepositoryType is ECR or ECR_PUBLIC.
	RepositoryType string
	StartCommand   string `json:",omitempty"`
	Port           string
	Environment    map[string]string
	Secrets        map[string]string
}

// Secrets are the references that the source itself names; those of apprunner.yaml are known only once it was read.
func (s Source) Secrets() map[string]string {
	switch {
	case s.Image != nil:
		return s.Image.Secrets
	case s.Code != nil && s.Code.Values != nil && !s.Code.UsesConfigurationFile:
		return s.Code.Values.Secrets
	}
	return nil
}

// Clone returns a copy that shares nothing with s.
func (s Source) Clone() Source {
	if s.Code != nil {
		code := *s.Code
		if code.Values != nil {
			values := *code.Values
			values.Environment = maps.Clone(values.Environment)
			values.Secrets = maps.Clone(values.Secrets)
			code.Values = &values
		}
		s.Code = &code
	}
	if s.Image != nil {
		image := *s.Image
		image.Environment = maps.Clone(image.Environment)
		image.Secrets = maps.Clone(image.Secrets)
		s.Image = &image
	}
	return s
}

package appfile

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// foreign are files of other kinds that people keep under this name, by a key that only they have at the top.
var foreign = []struct {
	keys []string
	what string
}{
	{apiMembers, "the input of CreateService (aws apprunner create-service --cli-input-yaml)"},
	{[]string{"AWSTemplateFormatVersion", "Resources"}, "a CloudFormation template"},
	{[]string{"apiVersion", "kind"}, "an object of Kubernetes"},
	{[]string{"services", "volumes"}, "a Compose file"},
	{[]string{"phases", "artifacts"}, "a buildspec of CodeBuild"},
	{[]string{"jobs", "stages"}, "a workflow of continuous integration"},
	{[]string{"http", "sidecars"}, "a manifest of Copilot"},
}

// apiMembers are members of CreateService's input.
var apiMembers = []string{"ServiceName", "SourceConfiguration", "InstanceConfiguration", "ServiceArn", "CodeConfiguration",
	"codeConfiguration", "imageConfiguration", "ImageConfiguration"}

// isForeign refuses a file that is something else. Beside a whole file, or for others than the API's beside any part of one,
// such keys are mere extras.
func (r *reader) isForeign(top *section) bool {
	parts := 0
	for _, key := range []string{"runtime", "build", "run"} {
		if top.find(key) != nil {
			parts++
		}
	}
	for _, kind := range foreign {
		for _, key := range kind.keys {
			found := top.find(key)
			if found == nil || parts > 0 && (parts == 3 || !slices.Contains(apiMembers, key)) {
				continue
			}
			r.problem(found.key, "%s holds %s: this looks like %s, not like a configuration file with version, runtime, "+
				"build and run", Name, key, kind.what)
			return true
		}
	}
	return false
}

// dockerWords are what people write for a runtime where they mean their Dockerfile or an image.
var dockerWords = []string{"docker", "dockerfile", "container", "image", "dockerimage", "dockercompose"}

// dockerKeys are keys of top or build that only a build with a Dockerfile, or an image, can mean.
var dockerKeys = []string{"dockerfile", "dockerfilepath", "dockercontext", "docker", "image", "imagerepository", "imageuri", "container"}

// wantsDockerfile refuses a file that asks for a Dockerfile or an image, which need no such file at all.
func (r *reader) wantsDockerfile(file File, top, build *section) bool {
	var at *yaml.Node
	said := ""
	if word := plain(file.Runtime); slices.Contains(dockerWords, word) {
		at, said = &yaml.Node{Line: file.RuntimeAt.Line, Column: file.RuntimeAt.Column}, "runtime "+short(file.Runtime)
	}
	for _, s := range []*section{top, build} {
		for _, left := range s.entries {
			isType := plain(left.name) == "type" && left.value.Kind == yaml.ScalarNode && slices.Contains(dockerWords, plain(left.value.Value))
			if said == "" && !left.taken && (isType || slices.Contains(dockerKeys, plain(left.name))) && r.isNoRuntime(file, s) {
				at, said = left.key, joinPath(s.path, left.name)
			}
		}
	}
	if said == "" {
		return false
	}
	r.problems = nil // whatever else is said there is for a build of another kind
	r.problem(at, "%s asks for a Dockerfile or an image, and %s is for builds on a runtime. To build with the Dockerfile, tag the "+
		"service apron:build=dockerfile, or `apron deploy --dockerfile Dockerfile`; the file is not read then. To run an image, "+
		"give the service an ImageRepository, or `apron deploy --image IMAGE`", said, Name)
	return true
}

// isNoRuntime says whether a key of s that names a Dockerfile counts: beside a whole build on a runtime it is an extra.
func (r *reader) isNoRuntime(file File, s *section) bool {
	commands := r.sections["build.commands"]
	return file.Runtime == "" || commands != nil && len(commands.entries) == 0
}

// elsewhere says for what is no matter of this file, in its plain form, which part of the service it is.
var elsewhere = map[string]string{
	"healthcheck": "HealthCheckConfiguration", "health": "HealthCheckConfiguration", "healthcheckconfiguration": "HealthCheckConfiguration",
	"healthcheckpath": "HealthCheckConfiguration", "sourcedirectory": "SourceDirectory", "vpcconnector": "NetworkConfiguration",
	"vpc": "NetworkConfiguration", "networkconfiguration": "NetworkConfiguration", "egress": "NetworkConfiguration",
	"instance": "InstanceConfiguration", "instanceconfiguration": "InstanceConfiguration", "cpu": "InstanceConfiguration",
	"memory": "InstanceConfiguration", "instancerole": "InstanceConfiguration", "instancerolearn": "InstanceConfiguration",
	"resources": "InstanceConfiguration", "autoscaling": "AutoScalingConfigurationArn", "scaling": "AutoScalingConfigurationArn",
	"concurrency": "AutoScalingConfigurationArn", "autoscalingconfiguration": "AutoScalingConfigurationArn",
	"observability": "ObservabilityConfiguration", "observabilityconfiguration": "ObservabilityConfiguration",
	"tracing": "ObservabilityConfiguration", "tags": "Tags", "servicename": "ServiceName", "name": "ServiceName", "service": "ServiceName",
	"autodeploy": "AutoDeploymentsEnabled", "autodeployments": "AutoDeploymentsEnabled", "branch": "SourceCodeVersion",
	"repository": "RepositoryUrl", "encryption": "EncryptionConfiguration",
}

// remarksOnly are sections that people add and that mean nothing to a service at all.
var remarksOnly = []string{"description", "region", "logs", "logging", "deployment", "author", "comment", "notes", "metadata"}

// leftovers says of each key that nothing has taken what becomes of it. A list of commands that would not run is an error.
func (r *reader) leftovers(s *section) {
	keys := known[s.path]
	for _, left := range s.entries {
		if left.taken {
			continue
		}
		name := joinPath(s.path, left.name)
		meant := nearest(left.name, keys)
		switch part := elsewhere[plain(left.name)]; {
		case meant != "":
			r.problem(left.key, "%s is not a key, and %s, which it could mean, is there as well: remove one", name, joinPlain(s.path, meant))
		case part != "":
			r.warn(left.key, "%s is not a key of %s and is ignored: it is set by the service's %s", name, Name, part)
		case s.path == "build.commands":
			r.problem(left.key, "%s is no phase; the phases are %s, and run.pre-run", name, strings.Join(keys, ", "))
		case s.path != "" && left.value.Kind == yaml.SequenceNode && len(left.value.Content) > 0 && !slices.Contains(remarksOnly, plain(left.name)):
			r.problem(left.key, "%s is not a key of %s, and what it lists would be lost; %s has %s", name, Name, s.path, strings.Join(keys, ", "))
		default:
			r.warn(left.key, "%s is not a key of %s and is ignored; there %s", name, Name, areKeys(s.path, keys))
		}
	}
}

func areKeys(path string, keys []string) string {
	if path == "" {
		return "are " + strings.Join(keys, ", ")
	}
	return "are, in " + path + ", " + strings.Join(keys, ", ")
}

// placeholder matches what stands in documentation where the reader is to put something of their own.
var placeholder = regexp.MustCompile(`ACCOUNT_?ID|YOUR[-_]|<[^>]+>|\bREGION\b|x{4,}|XXXX|\bACCOUNT\b|\{\{|\$\{`)

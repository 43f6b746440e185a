package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// deployFlags are what a user may say about a deployment.
type deployFlags struct {
	name                  string
	port                  int
	environment, secrets  []string
	cpu, memory           string
	image                 string
	dockerfile, target    string
	arguments             []string
	buildSecrets          []string
	runtime, build, start string
	onlyIfChanged         bool
	isQuiet, doNotWait    bool
	asksForAnswer         bool
}

func newDeploy(s *shell) *cobra.Command {
	var flags deployFlags
	command := &cobra.Command{
		Use: "deploy [DIR]", Short: "Bring a folder or an image live",
		Long: "deploy takes the folder as it is on the disk, without what .gitignore names, and needs no commit. It sends it to\n" +
			"apron's own Git server and deploys it; the first time it creates the service. The folder says how it is built:\n" +
			"by its apprunner.yaml, by its Dockerfile, or, where it has neither, by what its files are. --runtime, --build and\n" +
			"--start say it in its place. With --image it deploys an image.\n\n" +
			"It shows the steps and the output of the build as they happen, and fails with the cause when the deployment does; the version before then\n" +
			"goes on serving.",
		Example: "  apron deploy\n  apron deploy ./shop --name shop --env STAGE=test --port 3000\n" +
			"  apron deploy --runtime python311 --build 'pip3 install -r requirements.txt' --start 'python3 app.py'\n" +
			"  apron deploy --name web --image docker.io/library/nginx:1.27 --port 80",
		Args: args(cobra.MaximumNArgs(1), "at most one folder"),
		RunE: func(command *cobra.Command, given []string) error {
			return s.deploy(command.Context(), append(given, ".")[0], flags)
		},
	}
	set := command.Flags()
	set.StringVarP(&flags.name, "name", "n", "", "name of the service (default the folder's)")
	set.IntVarP(&flags.port, "port", "p", 0, "port that the app listens on (default 8080, or what the folder says)")
	set.StringArrayVarP(&flags.environment, "env", "e", nil, "a variable for the app, KEY=VALUE; may be repeated")
	set.StringArrayVar(&flags.secrets, "secret", nil, "a variable that gets the value of a secret, KEY=NAME; may be repeated. See apron secret --help")
	set.StringVar(&flags.cpu, "cpu", "", "vCPUs of an instance: 0.25, 0.5, 1, 2 or 4")
	set.StringVar(&flags.memory, "memory", "", "GB of memory of an instance: 0.5, 1, 2, 3, 4, 6, 8, 10 or 12")
	set.StringVar(&flags.image, "image", "", "deploy this image instead of a folder")
	set.StringVar(&flags.dockerfile, "dockerfile", "", "build with this Dockerfile, from the folder's root")
	set.StringVar(&flags.target, "target", "", "the stage of the Dockerfile that is built (default the last)")
	set.StringArrayVar(&flags.arguments, "build-arg", nil, "a build argument of the Dockerfile, NAME=VALUE; may be repeated")
	set.StringArrayVar(&flags.buildSecrets, "build-secret", nil, "a secret for RUN --mount=type=secret,id=ID, ID=NAME; may be repeated. See apron secret --help")
	set.StringVar(&flags.runtime, "runtime", "", "build without an apprunner.yaml, on this runtime: python311, nodejs24, go1, … (apron runtimes lists them)")
	set.StringVar(&flags.build, "build", "", "with --runtime, or without any file that says it: the command that builds the app")
	set.StringVar(&flags.start, "start", "", "with --runtime or --image, or without any file that says it: the command that starts the app")
	set.BoolVar(&flags.onlyIfChanged, "if-changed", false, "do nothing when this very folder runs already")
	set.BoolVar(&flags.asksForAnswer, "ask", false, "ask the service at the end, once it is ready, and print its answer")
	set.BoolVarP(&flags.isQuiet, "quiet", "q", false, "show the steps alone, without the output of the build")
	set.BoolVar(&flags.doNotWait, "no-wait", false, "return when the operation has begun")
	command.MarkFlagsMutuallyExclusive("image", "dockerfile", "runtime")
	return command
}

// deploy brings the folder or image live and prints where.
func (s *shell) deploy(ctx context.Context, dir string, flags deployFlags) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if flags.image == "" {
		if err := checkFolder(dir); err != nil {
			return err
		}
	}
	if flags.name == "" {
		if flags.image != "" {
			return &usageError{fmt.Errorf("an image has no folder to be named after"), "Give it a name: --name NAME."}
		}
		flags.name = serviceName(filepath.Base(dir))
	}
	if !namePattern.MatchString(flags.name) {
		return &usageError{fmt.Errorf("%q is no service name", flags.name), "Names have 4 to 40 letters, digits, - and _, and begin with a letter or digit."}
	}
	wish, err := readWish(dir, flags)
	if err != nil {
		return err
	}
	connected, err := s.connect()
	if err != nil {
		return err
	}
	if err := checkRuntime(ctx, connected, wish.runtimeTag); err != nil {
		return err
	}
	listeners, err := connected.Listeners(ctx)
	if err != nil {
		return err
	}
	d := &deployment{shell: s, client: connected, wish: wish, flags: flags, listeners: listeners}
	outcome, err := d.run(ctx)
	if err != nil {
		return err
	}
	return s.printOutcome(ctx, outcome, flags)
}

// checkRuntime refuses a runtime that apron does not have, before anything is sent.
func checkRuntime(ctx context.Context, connected *client.Client, name string) error {
	if name == "" {
		return nil
	}
	runtimes, err := connected.Runtimes(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, each := range runtimes {
		if each.Name == name {
			return nil
		}
		names = append(names, each.Name)
	}
	return &usageError{fmt.Errorf("--runtime %s: there is no such runtime", name), "There are " + strings.Join(names, ", ") + "."}
}

func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return &usageError{err, "Name the folder of your app: apron deploy DIR."}
	}
	if !info.IsDir() {
		return &usageError{fmt.Errorf("%s is not a folder", dir), "Name the folder of your app: apron deploy DIR."}
	}
	return nil
}

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{3,39}$`)
	notInName       = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	notAtNamesStart = regexp.MustCompile(`^[^A-Za-z0-9]+`)
)

// serviceName makes a valid service name of a folder's name.
func serviceName(folder string) string {
	name := strings.Trim(notInName.ReplaceAllString(folder, "-"), "-")
	name = notAtNamesStart.ReplaceAllString(name, "")
	if name == "" {
		name = "app"
	}
	if len(name) < 4 {
		name += "-app"
	}
	return strings.TrimRight(name[:min(len(name), 40)], "-")
}

// outcome is what a deployment came to.
type outcome struct {
	Name       string
	ServiceArn string
	URL        string
	// PlainURL is without TLS, where URL is by HTTPS.
	PlainURL    string `json:",omitempty"`
	OperationID string `json:"OperationId,omitempty"`
	// IsChanged says that something was deployed; IsNew that the service was created.
	IsChanged, IsNew bool
	// Answer is what the service said, if it was asked.
	Answer *answer `json:",omitempty"`
}

// place says where the service answers.
func (o outcome) place() string {
	if o.URL == "" {
		return "privately, where its VPC ingress connection leads"
	}
	return "at " + o.URL
}

func (s *shell) printOutcome(ctx context.Context, result outcome, flags deployFlags) error {
	if flags.asksForAnswer && !flags.doNotWait && result.URL != "" {
		said, err := s.ask(ctx, firstOf(result.PlainURL, result.URL)) // who asks need not trust the certificates yet
		if err != nil {
			return err
		}
		result.Answer = &said
	}
	if s.isJSON() {
		return view.JSON(s.out, result)
	}
	switch {
	case flags.doNotWait && result.OperationID != "":
		fmt.Fprintf(s.out, "%s is being deployed: apron operation %s\n", result.Name, result.OperationID)
		return nil
	case !result.IsChanged:
		fmt.Fprintf(s.out, "Nothing changed. %s runs %s\n", result.Name, result.place())
	default:
		fmt.Fprintf(s.out, "%s is live %s\n", result.Name, result.place())
	}
	if result.Answer != nil {
		fmt.Fprintf(s.out, "It answers (%s): %s\n", result.Answer.Status, result.Answer.Text)
	}
	if result.IsNew || result.Answer != nil {
		fmt.Fprintln(s.out, "\nNext:")
		steps := [][2]string{
			{"apron logs " + result.Name + " -f", "what it prints"},
			{"apron service " + result.Name, "how it is"},
			{"apron deploy DIR", "your own folder"},
			{`eval "$(apron env)"`, "then any AWS tool works: aws apprunner list-services"},
		}
		if result.PlainURL != "" {
			steps = append(steps, [2]string{"apron ca", "how browsers and curl come to trust its certificate; without TLS it is at " + result.PlainURL})
		}
		for _, next := range steps {
			fmt.Fprintf(s.out, "  %-*s  %s\n", len("apron service ")+len(result.Name), next[0], next[1])
		}
	}
	return nil
}

// find returns the service as it is, or false when there is none of the name.
func (d *deployment) find(ctx context.Context) (found found, exists bool, err error) {
	services, err := d.client.Services(ctx)
	if err != nil {
		return found, false, err
	}
	for _, each := range services {
		if aws.ToString(each.ServiceName) == d.flags.name {
			service, err := d.client.Service(ctx, aws.ToString(each.ServiceArn))
			found.Service = service
			return found, true, err
		}
	}
	return found, false, nil
}

// lastDeployment returns the newest operation that deployed, or was to deploy, a version; false when there is none.
func (d *deployment) lastDeployment(ctx context.Context, arn string) (client.Operation, bool, error) {
	operations, err := d.client.Operations(ctx, arn, 20)
	if err != nil {
		return client.Operation{}, false, err
	}
	for _, each := range operations {
		switch each.Type {
		case "CREATE_SERVICE", "START_DEPLOYMENT", "UPDATE_SERVICE":
			operation, err := d.client.DescribeOperation(ctx, arn, aws.ToString(each.Id))
			return operation, err == nil, err
		}
	}
	return client.Operation{}, false, nil
}

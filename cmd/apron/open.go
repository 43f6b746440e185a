package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newOpen(s *shell) *cobra.Command {
	isPlain := false
	command := &cobra.Command{
		Use: "open NAME", Short: "Print a service's URL, and open it where there is a browser",
		Long:    "open prints the URL by HTTPS where apron serves that. Who does not trust its certificates yet finds how in `apron ca`.",
		Example: "  apron open my-app\n  curl --cacert apron-ca.pem \"$(apron open my-app)\"\n  curl \"$(apron open my-app --http)\"",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			service, err := connected.Service(command.Context(), given[0])
			if err != nil {
				return err
			}
			listeners, err := connected.Listeners(command.Context())
			if err != nil {
				return err
			}
			address, plain := listeners.Of(aws.ToString(service.ServiceUrl))
			if isPlain && plain != "" {
				address = plain
			}
			if address == "" {
				return advise("See `apron service "+given[0]+"`.", "%s has no public URL", given[0])
			}
			if s.isJSON() {
				return view.JSON(s.out, map[string]string{"URL": address})
			}
			if _, err := fmt.Fprintln(s.out, address); err != nil {
				return err
			}
			s.browse(address)
			return nil
		},
	}
	command.Flags().BoolVar(&isPlain, "http", false, "the URL by plain HTTP")
	return command
}

// browse opens a browser when a person at a desktop asks. Where there is none, the printed URL is the answer.
func (s *shell) browse(address string) {
	out, isFile := s.out.(*os.File)
	hasDesktop := os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	if !isFile || !term.IsTerminal(int(out.Fd())) || !hasDesktop {
		return
	}
	if program, err := exec.LookPath("xdg-open"); err == nil {
		_ = exec.Command(program, address).Start() // the URL is printed already
	}
}

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/internal/app"
)

// newProxy is the process that `apron serve` starts beside itself for the services' traffic. Nobody else calls it.
func newProxy() *cobra.Command {
	config := app.ProxyConfig{Arguments: os.Args[1:]}
	command := &cobra.Command{
		Use: "proxy", Short: "Answer for the services, as `apron serve` says", Hidden: true,
		Long: "proxy is the process that takes the services' requests. `apron serve` starts it, tells it the routes by the control\n" +
			"socket, and ends it; it goes on when `apron serve` is killed. Nobody else needs to call it.",
		Example: "  apron proxy --control /var/lib/apron/run/proxy.sock --http :8080 \\\n" +
			"    --private-http 127.0.0.1:8081 --log-file /var/lib/apron/proxy.log",
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			return app.Proxy(command.Context(), config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Control, "control", "", "the Unix socket that takes orders")
	flags.StringVar(&config.HTTPAddr, "http", "", "where services answer")
	flags.StringVar(&config.PrivateHTTPAddr, "private-http", "", "where services answer to their private hosts")
	flags.StringVar(&config.HTTPSAddr, "https", "", "where services answer by TLS; empty for nowhere")
	flags.StringVar(&config.Domain, "domain", "", "what the local authority signs certificates below")
	flags.StringVar(&config.TLSDir, "tls", "", "folder of the local authority")
	flags.StringVar(&config.CertsDir, "certs", "", "folder of more certificates, or empty")
	flags.StringVar(&config.LogFile, "log-file", "", "the log, rotated at 10 MB")
	flags.StringVar(&config.AccessFile, "access-log", "", "the file with a line about each request, rotated at 50 MB; none without it")
	flags.StringVar(&config.TrustedProxies, "trusted-proxy", "", "proxies whose X-Forwarded headers are believed, separated by commas")
	for _, name := range []string{"control", "http", "private-http", "log-file"} {
		_ = command.MarkFlagRequired(name)
	}
	return command
}

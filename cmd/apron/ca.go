package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/app"
)

// howToTrust says what to do with the root. Its placeholders are the domain and the last day.
const howToTrust = `
This is the root of apron's own authority, which signs the certificates of services. Save it with
  apron ca > apron-ca.pem
and let clients trust it. It is good for names below %s alone, and until %s.

  Debian, Ubuntu     cp apron-ca.pem /usr/local/share/ca-certificates/apron-ca.crt && update-ca-certificates
  macOS              security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain apron-ca.pem
  Firefox            Settings, Privacy & Security, View Certificates, Authorities, Import
  curl               curl --cacert apron-ca.pem https://...
  Node.js            export NODE_EXTRA_CA_CERTS=$PWD/apron-ca.pem
  Python (requests)  export REQUESTS_CA_BUNDLE=$PWD/apron-ca.pem
  AWS CLI            export AWS_CA_BUNDLE=$PWD/apron-ca.pem
`

func newCA(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "ca", Short: "Print the root of this apron's certificate authority, and how to trust it",
		Long: "ca prints the root certificate of the authority that signs the certificates of services, in PEM, and beside that,\n" +
			"to standard error, how clients come to trust it. The authority is made when apron first serves HTTPS.\n" +
			"Services with certificates of your own (--certs) do not need it.",
		Example: "  apron ca > apron-ca.pem\n  curl --cacert apron-ca.pem https://abc.us-east-1.apron.localhost:8443/",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			return s.printAuthority(config)
		},
	}
	s.settings.bindData(command.Flags())
	return command
}

func (s *shell) printAuthority(config app.Config) error {
	text, root, err := config.Authority()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return advise(adviceStart, "there is no authority yet: apron makes it when it first serves HTTPS (--https)")
	case errors.Is(err, fs.ErrPermission):
		return advise("Run it as root: sudo apron ca.", "you may not read the folder of the authority in %s", config.DataDir)
	case err != nil:
		return err
	}
	if s.isJSON() {
		fingerprint := sha256.Sum256(root.Raw)
		return view.JSON(s.out, map[string]any{
			"certificate": string(text), "subject": root.Subject.CommonName, "domains": root.PermittedDNSDomains,
			"notAfter": root.NotAfter.UTC().Format(time.RFC3339), "sha256": hex.EncodeToString(fingerprint[:]),
		})
	}
	if _, err := s.out.Write(text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.err, howToTrust, root.PermittedDNSDomains[0], root.NotAfter.Format(time.DateOnly))
	return err
}

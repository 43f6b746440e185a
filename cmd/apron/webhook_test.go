package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

func withSource(fake *fakeAPI, source map[string]any) {
	fake.services = []map[string]any{{
		"ServiceName": "shop", "ServiceArn": fmt.Sprintf(fakeARN, "shop"), "ServiceId": "8fe1e10304f84fd2b0df550fe98a71fa", "Status": "RUNNING",
		"SourceConfiguration": source,
	}}
}

func TestAWebhookIsPrintedWithWhatToDoAtItsHost(t *testing.T) {
	fake := newFakeAPI(t)
	url := fake.url + "/webhooks/8fe1e10304f84fd2b0df550fe98a71fa"
	code := func(repository string) map[string]any {
		return map[string]any{"AutoDeploymentsEnabled": true, "CodeRepository": map[string]any{"RepositoryUrl": repository}}
	}
	image := func(identifier string) map[string]any {
		return map[string]any{"AutoDeploymentsEnabled": true, "ImageRepository": map[string]any{"ImageIdentifier": identifier, "ImageRepositoryType": "ECR"}}
	}
	withSource(fake, code("https://ada:t0ken@github.com/ada/shop.git"))
	printed := apron(t, "webhook", "shop")
	printed.expect(t, 0, "At GitHub", "https://github.com/ada/shop: Settings, Webhooks", "Payload URL: "+url+" ", "Secret: whsec_one", "--host azure|bitbucket")
	printed.wantHidden(t)
	apron(t, "webhook", "shop", "--rotate").expect(t, 0, "Secret  whsec_two")
	apron(t, "webhook", "shop", "--host", "dockerhub").expect(t, 0, "Webhook URL: "+url+"/whsec_one")
	apron(t, "webhook", "shop", "--host", "registry").expect(t, 0, `url: "`+url+`", headers: {Authorization: ["Bearer whsec_one"]}`)
	apron(t, "webhook", "shop", "--output", "json").expect(t, 0, `"Url": "`+url+`"`, `"Secret": "whsec_one"`)
	apron(t, "webhook", "shop", "--host", "nowhere").expect(t, 2, "want one of azure, bitbucket")
	for source, want := range map[string]string{
		"git@gitlab.com:ada/shop.git": "At GitLab", "https://git.lan/ada/shop": "Anywhere else", "https://codeberg.org/ada/shop": "At Gitea or Forgejo",
	} {
		withSource(fake, code(source))
		apron(t, "webhook", "shop").expect(t, 0, want)
	}
	for source, want := range map[string]string{
		"ada/shop": "At Docker Hub", "shop": "At Docker Hub", "ghcr.io/ada/shop:live": "At GitHub", "quay.io/ada/shop": "At Quay",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:live": "At Amazon ECR", "registry.lan:5000/shop": "At a registry",
	} {
		withSource(fake, image(source))
		apron(t, "webhook", "shop").expect(t, 0, want)
	}
	byHand := image("ada/shop")
	byHand["AutoDeploymentsEnabled"] = false
	withSource(fake, byHand)
	apron(t, "webhook", "shop").expect(t, 0, "AutoDeploymentsEnabled of the service is false")
	for name, host := range webhookHosts {
		if text := strings.Join(host.steps, " "); !strings.Contains(text, "{url}") && !strings.Contains(text, "{both}") {
			t.Errorf("the steps for %s do not name the URL", name)
		}
	}
	if place, _ := sourcePlace(&types.SourceConfiguration{CodeRepository: &types.CodeRepository{RepositoryUrl: aws.String("https://x/\x1b[31m")}}); strings.Contains(place, "\x1b") {
		t.Errorf("%q is printed", place)
	}
}

func TestAWebhookIsTriedByCallingIt(t *testing.T) {
	fake := newFakeAPI(t)
	withSource(fake, map[string]any{"CodeRepository": map[string]any{"RepositoryUrl": "https://git.lan/shop"}})
	apron(t, "webhook", "shop", "--test").expect(t, 1, "call the webhook", "apron webhook --help") // the fake has none

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer whsec_one" {
			t.Errorf("%s with %q", r.Method, r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("apron looks.\n"))
	}))
	t.Cleanup(server.Close)
	connected, err := client.New(client.Config{Endpoint: fake.url})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := connected.CallWebhook(t.Context(), client.Webhook{URL: server.URL, Secret: "whsec_one"})
	if err != nil || answer != "apron looks." {
		t.Errorf("answered %q, %v", answer, err)
	}
}

package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// form tells a kind of registry by members that its calls have.
type form struct {
	from    string
	members []string
	read    func(body []byte) (message, error)
}

var forms = []form{
	{"Docker Hub", []string{"push_data", "repository"}, readDockerHub},
	{"Quay", []string{"updated_tags"}, readQuay},
	{"Harbor", []string{"type", "event_data"}, readHarbor},
	{"Harbor", []string{"specversion", "type", "data"}, readHarborCloudEvent},
	{"a registry", []string{"events"}, readDistribution},
	{"Azure", []string{"action", "target"}, readAzure},
	{"Amazon ECR", []string{"source", "detail-type", "detail"}, readECR},
}

// readByForm reads the call of a host whose headers do not say what it is.
func readByForm(body []byte) (message, error) {
	var members map[string]json.RawMessage
	if err := unmarshal(body, &members); err != nil {
		return message{}, err
	}
	if members == nil {
		return message{}, errors.New("it is not a JSON object")
	}
	if _, isSNS := members["TopicArn"]; isSNS {
		return readSNS(body)
	}
	return readForm(members, body)
}

func readForm(members map[string]json.RawMessage, body []byte) (message, error) {
	has := func(names []string) bool {
		for _, name := range names {
			if _, has := members[name]; !has {
				return false
			}
		}
		return true
	}
	for _, form := range forms {
		if !has(form.members) {
			continue
		}
		read, err := form.read(body)
		if err != nil {
			return message{}, fmt.Errorf("%s's event: %w", form.from, err)
		}
		read.from = form.from
		return read, nil
	}
	return message{events: []event{{kind: ofAnything}}}, nil
}

func readDockerHub(body []byte) (message, error) {
	var payload struct {
		Pushed struct{ Tag, Pusher string } `json:"push_data"`
	}
	err := unmarshal(body, &payload)
	return message{events: []event{{kind: ofImage, name: payload.Pushed.Tag, by: payload.Pushed.Pusher}}}, err
}

// readQuay takes tags as a list, and as names with what each means, as they once were.
func readQuay(body []byte) (read message, err error) {
	var payload struct {
		Tags json.RawMessage `json:"updated_tags"`
	}
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	var tags []string
	if unmarshal(payload.Tags, &tags) != nil {
		var meanings map[string]json.RawMessage
		if err := unmarshal(payload.Tags, &meanings); err != nil {
			return message{}, err
		}
		for tag := range meanings {
			tags = append(tags, tag)
		}
	}
	for _, tag := range tags {
		read.events = append(read.events, event{kind: ofImage, name: tag})
	}
	return read, nil
}

// harborData is what both of Harbor's forms have.
type harborData struct{ Resources []struct{ Tag string } }

func (d harborData) events(by string) (events []event) {
	for _, resource := range d.Resources {
		events = append(events, event{kind: ofImage, name: resource.Tag, by: by})
	}
	return events
}

func readHarbor(body []byte) (read message, err error) {
	var payload struct {
		Type, Operator string
		Data           harborData `json:"event_data"`
	}
	err = unmarshal(body, &payload)
	if payload.Type == "PUSH_ARTIFACT" || payload.Type == "pushImage" {
		read.events = payload.Data.events(payload.Operator)
	}
	return read, err
}

func readHarborCloudEvent(body []byte) (read message, err error) {
	var payload struct {
		Type, Operator string
		Data           harborData
	}
	err = unmarshal(body, &payload)
	if payload.Type == "harbor.artifact.pushed" {
		read.events = payload.Data.events(payload.Operator)
	}
	return read, err
}

// distributionEvent is one of those that CNCF's registry sends, and all that are made of it.
type distributionEvent struct {
	Action string
	Target struct{ Tag string }
	Actor  user
}

// A manifest that was pushed without a tag is a part of an index.
func (e distributionEvent) events() []event {
	if e.Action != "push" || e.Target.Tag == "" {
		return nil
	}
	return []event{{kind: ofImage, name: e.Target.Tag, by: e.Actor.String()}}
}

func readDistribution(body []byte) (read message, err error) {
	var payload struct{ Events []distributionEvent }
	err = unmarshal(body, &payload)
	for _, each := range payload.Events {
		read.events = append(read.events, each.events()...)
	}
	return read, err
}

// readAzure is for Azure Container Registry, which sends one such event.
func readAzure(body []byte) (message, error) {
	var payload distributionEvent
	err := unmarshal(body, &payload)
	return message{events: payload.events(), isPing: payload.Action == "ping"}, err
}

// readECR is for an event of Amazon ECR, as EventBridge hands it on.
func readECR(body []byte) (read message, err error) {
	var payload struct {
		Source string
		Detail struct {
			Action string `json:"action-type"`
			Result string
			Tag    string `json:"image-tag"`
		}
	}
	err = unmarshal(body, &payload)
	if detail := payload.Detail; payload.Source == "aws.ecr" && detail.Action == "PUSH" && detail.Result == "SUCCESS" && detail.Tag != "" {
		read.events = []event{{kind: ofImage, name: detail.Tag}}
	}
	return read, err
}

// readSNS takes an event out of Amazon SNS. A subscription is confirmed by a person: no address that a call names is asked.
func readSNS(body []byte) (message, error) {
	var payload struct{ Type, Message, SubscribeURL string }
	if err := unmarshal(body, &payload); err != nil {
		return message{}, err
	}
	switch payload.Type {
	case "SubscriptionConfirmation":
		address, err := url.Parse(payload.SubscribeURL)
		if err != nil || address.Scheme != "https" || !isAmazon(address.Hostname()) || len(payload.SubscribeURL) > maxAddress {
			return message{}, errors.New("the address that confirms it is not Amazon's")
		}
		return message{confirm: address.String()}, nil
	case "Notification":
		var members map[string]json.RawMessage
		if unmarshal([]byte(payload.Message), &members) != nil {
			return message{events: []event{{kind: ofAnything}}}, nil
		}
		return readForm(members, []byte(payload.Message))
	}
	return message{}, nil
}

// maxAddress bounds an address that goes into an event log.
const maxAddress = 2000

func isAmazon(host string) bool {
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

package api

import (
	"bytes"
	"context"
	"errors"

	"github.com/apron-run/apron/apprunner"
)

// registry finds what answers a target.
type registry map[string]entry

type entry struct {
	action apprunner.Action
	answer func(ctx context.Context, body []byte) ([]byte, error)
}

// handle lets function answer an endpoint's action: body decoded and validated before, output encoded after.
func handle[I, O any, E error](entries registry, endpoint apprunner.Endpoint[I, O, E], function func(context.Context, *I) (*O, error)) {
	entries[endpoint.Target] = entry{endpoint.Action, func(ctx context.Context, body []byte) ([]byte, error) {
		input := new(I)
		if err := read(body, input); err != nil {
			return nil, err
		}
		output, err := function(ctx, input)
		if err != nil {
			return nil, err
		}
		return apprunner.EncodeJSON(output), nil
	}}
}

// read decodes and validates a body. An empty one is an empty object, as the protocol has it.
func read(body []byte, input any) error {
	if len(bytes.TrimSpace(body)) > 0 {
		var broken *apprunner.DecodeError
		if err := apprunner.DecodeJSON(body, input); errors.As(err, &broken) {
			return serialization("The request cannot be read: %s.", broken)
		} else if err != nil {
			return err
		}
	}
	var invalid *apprunner.ValidationError
	if err := apprunner.Validate(input); errors.As(err, &invalid) {
		return violated(invalid)
	} else if err != nil {
		return err
	}
	return nil
}

package api

import (
	"context"

	"github.com/apron-run/apron/apprunner"
)

func (h *Handler) describeListeners(context.Context, *apprunner.DescribeListenersRequest) (*apprunner.DescribeListenersResponse, error) {
	output := &apprunner.DescribeListenersResponse{HTTPPort: new(apprunner.Integer(h.Listeners.HTTPPort))}
	if port := h.Listeners.HTTPSPort; port != 0 {
		output.HTTPSPort = new(apprunner.Integer(port))
	}
	return output, nil
}

package api

import (
	"context"

	"github.com/apron-run/apron/apprunner"
)

func (h *Handler) describeScaling(ctx context.Context, input *apprunner.DescribeScalingRequest) (*apprunner.DescribeScalingResponse, error) {
	service, err := h.liveService(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	scale := h.Scales.Of(service)
	number := func(n int) *apprunner.Integer { return new(apprunner.Integer(n)) }
	output := &apprunner.Scaling{
		Size: number(scale.Size), MinSize: number(scale.Min), MaxSize: number(scale.Max),
		InFlight: number(scale.Load.InFlight), Waiting: number(scale.Load.Waiting), Frozen: number(len(scale.Load.Frozen)),
	}
	if scale.Reason != "" {
		output.Reason, output.ChangedAt = new(apprunner.String(scale.Reason)), new(scale.ChangedAt.UTC())
	}
	return &apprunner.DescribeScalingResponse{Scaling: output}, nil
}

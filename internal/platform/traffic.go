package platform

import (
	"net/netip"
	"time"
)

// Traffic is how a service's requests are treated, as its tags say. It needs no deployment to change.
type Traffic struct {
	// Protocol is what instances speak.
	Protocol AppProtocol
	// RequestTimeout bounds a request, from its head to the last byte of its answer; 0 means the data plane's default, which is
	// App Runner's. Once it is set to more than that, a stream may live as long as IdleTimeout sees bytes.
	RequestTimeout time.Duration
	// IdleTimeout bounds how long neither side sends a byte, of an upgraded connection too; 0 means the default.
	IdleTimeout time.Duration
	// FreezeAfter is how long an instance without a request stays warm before it is frozen; 0 means never.
	FreezeAfter time.Duration
	// AllowIPs are the clients that are answered; empty means all.
	AllowIPs []netip.Prefix
	// PathRules are tried in their order; the first that fits decides.
	PathRules []PathRule
	// RedirectsToHTTPS sends clients that came by plain HTTP to --https.
	RedirectsToHTTPS bool
	// Compresses says that answers are compressed for clients that can read that.
	Compresses bool
}

// AppProtocol is what an app speaks on its port.
type AppProtocol string

const (
	// AppProtocolHTTP1 is HTTP/1.1.
	AppProtocolHTTP1 AppProtocol = ""
	// AppProtocolH2C is HTTP/2 in clear text, as gRPC servers speak it.
	AppProtocolH2C AppProtocol = "h2c"
)

// PathRule is what becomes of requests whose path is Prefix or below it.
type PathRule struct {
	Prefix string
	Action PathAction
}

// PathAction is what a PathRule does.
type PathAction string

const (
	// PathActionDeny answers 403.
	PathActionDeny PathAction = "deny"
	// PathActionHTTPS sends clients that came by plain HTTP to --https.
	PathActionHTTPS PathAction = "https"
)

// DefaultFreezeAfter is Traffic.FreezeAfter of a service that does not say otherwise.
const DefaultFreezeAfter = time.Minute

// DefaultToZeroAfter is Scaling.ToZeroAfter, and DefaultTargetPercent Scaling.TargetPercent, of a service that does not say otherwise.
const (
	DefaultToZeroAfter   = 15 * time.Minute
	DefaultTargetPercent = 70
)

// Scaling is how a service's size follows its load, as its tags say. The limits come from AutoScaling.
type Scaling struct {
	// MinSize replaces AutoScaling.MinSize where it is not nil; 0 scales to zero.
	MinSize *int
	// ToZeroAfter is how long without a request the last instance runs of a service that scales to zero.
	ToZeroAfter time.Duration
	// On is what the size follows.
	On ScaleMetric
	// TargetPercent is how much of an instance's CPU or memory may be used, on average, before there are more; 0 with concurrency.
	TargetPercent int
}

// ScaleMetric is what a size follows.
type ScaleMetric string

const (
	ScaleOnConcurrency ScaleMetric = "concurrency"
	ScaleOnCPU         ScaleMetric = "cpu"
	ScaleOnMemory      ScaleMetric = "memory"
)

// Tags of traffic and scaling; docs/scaling.md and docs/proxy.md have their forms.
const (
	TagProtocol         = "apron:protocol"
	TagRequestTimeout   = "apron:request-timeout"
	TagIdleTimeout      = "apron:idle-timeout"
	TagFreeze           = "apron:freeze"
	TagFreezeAfter      = "apron:freeze-after"
	TagAllowIPs         = "apron:allow-ips"
	TagPathRules        = "apron:path-rules"
	TagHTTPS            = "apron:https"
	TagCompression      = "apron:compression"
	TagMinSize          = "apron:min-size"
	TagScaleToZeroAfter = "apron:scale-to-zero-after"
	TagScaleOn          = "apron:scale-on"
	TagScaleTarget      = "apron:scale-target"
)

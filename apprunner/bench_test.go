package apprunner

import (
	"encoding/json"
	"testing"
	"time"
)

// The benchmarks compare the walker with encoding/json on the same service, whose members and their nesting are equal.
// encoding/json neither refuses unknown and repeated members nor writes timestamps as the wire wants them.

type jsonService struct {
	ServiceName                     string
	ServiceID                       string `json:"ServiceId"`
	ServiceARN                      string `json:"ServiceArn"`
	ServiceURL                      string `json:"ServiceUrl"`
	CreatedAt, UpdatedAt            jsonTime
	Status                          string
	SourceConfiguration             *jsonSource
	InstanceConfiguration           *struct{ Cpu, Memory *string }
	HealthCheckConfiguration        *jsonHealth
	AutoScalingConfigurationSummary *jsonScaling
	NetworkConfiguration            *jsonNetwork
	ObservabilityConfiguration      *struct{ ObservabilityEnabled *bool }
}

type jsonSource struct {
	ImageRepository *struct {
		ImageIdentifier    *string
		ImageConfiguration *struct {
			RuntimeEnvironmentVariables map[string]string
			Port                        *string
		}
		ImageRepositoryType *string
	}
	AutoDeploymentsEnabled *bool
}

type jsonHealth struct {
	Protocol, Path                                          *string
	Interval, Timeout, HealthyThreshold, UnhealthyThreshold *int32
}

type jsonScaling struct {
	AutoScalingConfigurationArn, AutoScalingConfigurationName *string
	AutoScalingConfigurationRevision                          *int32
}

type jsonNetwork struct {
	EgressConfiguration  *struct{ EgressType *string }
	IngressConfiguration *struct{ IsPubliclyAccessible *bool }
	IpAddressType        *string
}

type jsonTime float64

func BenchmarkEncode(b *testing.B) {
	b.Run("walker", func(b *testing.B) {
		service := fullService()
		b.ReportAllocs()
		for b.Loop() {
			EncodeJSON(service)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		var service jsonService
		if err := json.Unmarshal([]byte(fullServiceJSON), &service); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&service); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(fullServiceJSON)
	b.Run("walker", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeJSON(body, &Service{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(body, &jsonService{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	service := fullService()
	service.CreatedAt = new(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(service); err != nil {
			b.Fatal(err)
		}
	}
}

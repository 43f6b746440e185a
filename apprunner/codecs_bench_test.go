package apprunner

import "testing"

func BenchmarkEncodeQuery(b *testing.B) {
	service := fullService()
	b.ReportAllocs()
	for b.Loop() {
		EncodeQuery(service)
	}
}

func BenchmarkEncodeXML(b *testing.B) {
	service := fullService()
	b.ReportAllocs()
	for b.Loop() {
		EncodeXML("Service", service)
	}
}

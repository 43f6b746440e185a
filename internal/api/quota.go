package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Quota names something that is counted.
type Quota string

const (
	QuotaServices               Quota = "services"
	QuotaConnections            Quota = "connections"
	QuotaAutoScaling            Quota = "auto-scaling-configurations"
	QuotaAutoScalingRevisions   Quota = "auto-scaling-configuration-revisions"
	QuotaObservability          Quota = "observability-configurations"
	QuotaObservabilityRevisions Quota = "observability-configuration-revisions"
	QuotaVPCConnectors          Quota = "vpc-connectors"
	QuotaVPCIngress             Quota = "vpc-ingress-connections-per-service"
	QuotaDomains                Quota = "custom-domains-per-service"
)

// Quotas says how many of each there may be; 0, or none said, is no quota.
type Quotas map[Quota]int

// AppRunnerQuotas returns App Runner's own numbers (developer guide, "Service quotas").
func AppRunnerQuotas() Quotas {
	return Quotas{
		QuotaServices: 30, QuotaConnections: 10, QuotaAutoScaling: 10, QuotaAutoScalingRevisions: 5,
		QuotaObservability: 10, QuotaObservabilityRevisions: 10, QuotaVPCConnectors: 10, QuotaVPCIngress: 1, QuotaDomains: 5,
	}
}

// Set reads "NAME=NUMBER", or "apprunner" for App Runner's own numbers.
func (q Quotas) Set(text string) error {
	if text == "apprunner" {
		maps.Copy(q, AppRunnerQuotas())
		return nil
	}
	name, value, _ := strings.Cut(text, "=")
	known := slices.Sorted(maps.Keys(AppRunnerQuotas()))
	if !slices.Contains(known, Quota(name)) {
		return fmt.Errorf("quota %q: want apprunner, or NAME=NUMBER with one of %s", text, joinQuotas(known))
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 0 {
		return fmt.Errorf("quota %q: want %s=NUMBER, where 0 is no quota", text, name)
	}
	q[Quota(name)] = number
	return nil
}

func joinQuotas(quotas []Quota) string {
	names := make([]string, len(quotas))
	for i, quota := range quotas {
		names[i] = string(quota)
	}
	return strings.Join(names, ", ")
}

// refuse is the error for one more than the quota; nil within it. what names the things for a person.
func (q Quotas) refuse(quota Quota, what string, count int) error {
	limit := q[quota]
	if limit == 0 || count < limit {
		return nil
	}
	return quotaExceeded("There are %d %s, and the quota is %d. Delete one, or raise the quota with --quota %s=NUMBER.",
		count, what, limit, quota)
}

// check is refuse for a transaction that counts.
func (q Quotas) check(quota Quota, what string) func(count int) error {
	return func(count int) error { return q.refuse(quota, what, count) }
}

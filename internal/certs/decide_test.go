package certs

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// records returns n records, of which the named ones were seen already.
func records(n int, validated ...int) []platform.ValidationRecord {
	made := make([]platform.ValidationRecord, n)
	for i := range made {
		made[i] = platform.ValidationRecord{Name: string(rune('a'+i)) + ".", Value: string(rune('A'+i)) + ".", IsValidated: slices.Contains(validated, i)}
	}
	return made
}

func domain(status platform.DomainStatus, records []platform.ValidationRecord) platform.CustomDomain {
	return platform.CustomDomain{ID: "d", ServiceID: "s", Name: "shop.test", Status: status, CreatedAt: noon, UpdatedAt: noon, Records: records}
}

func TestDecide(t *testing.T) {
	const (
		creating, pending, binding = platform.DomainStatusCreating, platform.DomainStatusPendingValidation, platform.DomainStatusBinding
		active, failed, deleting   = platform.DomainStatusActive, platform.DomainStatusCreateFailed, platform.DomainStatusDeleting
		unknown, absent, seen      = SightUnknown, SightAbsent, SightSeen
	)
	named := func(name string) platform.CustomDomain {
		one := domain(creating, nil)
		one.Name = name
		return one
	}
	missed := records(2, 0)
	missed[1].IsFailed = true
	for _, test := range []struct {
		name     string
		domain   platform.CustomDomain
		after    time.Duration
		evidence Evidence
		status   platform.DomainStatus
		records  []platform.ValidationRecord
		isGone   bool
	}{
		{"a new domain gets its records", domain(creating, nil), 0, Evidence{Fresh: records(3)}, pending, records(3), false},
		{"example.com is nobody's", named("example.com"), 0, Evidence{Fresh: records(3)}, failed, nil, false},
		{"nor is what is below the domain example", named("shop.example"), 0, Evidence{Fresh: records(3)}, failed, nil, false},
		{"nor is a wildcard of a reserved name", named("*.example.net"), 0, Evidence{Fresh: records(2)}, failed, nil, false},
		{"what is below example.org may be asked for", named("shop.example.org"), 0, Evidence{Fresh: records(3)}, pending, records(3), false},
		{"a pending domain that DNS was not asked about waits", domain(pending, records(2)), time.Hour, Evidence{}, pending, records(2), false},
		{"a record that is seen is validated", domain(pending, records(2)), time.Hour, Evidence{Seen: []Sight{seen, absent}}, pending, records(2, 0), false},
		{"a record that was seen stays validated", domain(pending, records(2, 0)), time.Hour, Evidence{Seen: []Sight{absent, unknown}}, pending, records(2, 0), false},
		{"with the last record the domain is bound", domain(pending, records(2, 0)), time.Hour, Evidence{Seen: []Sight{seen, seen}}, binding, records(2, 0, 1), false},
		{"just before the limit it waits", domain(pending, records(2, 0)), 72*time.Hour - 1, Evidence{Seen: []Sight{seen, absent}}, pending, records(2, 0), false},
		{"at the limit it has failed, and says which record", domain(pending, records(2, 0)), 72 * time.Hour, Evidence{Seen: []Sight{seen, absent}}, failed, missed, false},
		{"records that are there after a long absence count", domain(pending, records(2)), 500 * time.Hour, Evidence{Seen: []Sight{seen, seen}}, binding, records(2, 0, 1), false},
		{"a silent DNS is waited for a day longer", domain(pending, records(2, 0)), 95 * time.Hour, Evidence{Seen: []Sight{seen, unknown}}, pending, records(2, 0), false},
		{"but not for ever", domain(pending, records(2, 0)), 96 * time.Hour, Evidence{Seen: []Sight{seen, unknown}}, failed, missed, false},
		{"sights of other records are none", domain(pending, records(2)), time.Hour, Evidence{Seen: []Sight{seen}}, pending, records(2), false},
		{"a bound domain waits for its route", domain(binding, records(1, 0)), 0, Evidence{}, binding, records(1, 0), false},
		{"with its route it is active", domain(binding, records(1, 0)), 0, Evidence{InForce: binding}, active, records(1, 0), false},
		{"what is to go waits until its route has gone", domain(deleting, records(1)), 0, Evidence{InForce: binding}, deleting, records(1), false},
		{"then it is gone", domain(deleting, records(1)), 0, Evidence{InForce: deleting}, deleting, records(1), true},
		{"what is to go is not validated", domain(deleting, records(1)), 0, Evidence{Seen: []Sight{seen}}, deleting, records(1), false},
		{"an active domain stays", domain(active, records(1, 0)), 500 * time.Hour, Evidence{Seen: []Sight{absent}, Fresh: records(2)}, active, records(1, 0), false},
		{"a failed domain stays", domain(failed, missed), 500 * time.Hour, Evidence{Seen: []Sight{seen, seen}}, failed, missed, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.domain.Clone()
			got, isGone := Decide(noon.Add(test.after), test.domain, test.evidence)
			want := test.domain.Clone()
			want.Status, want.Records = test.status, test.records
			if want.Status != test.domain.Status {
				want.UpdatedAt = noon.Add(test.after)
			}
			if diff := cmp.Diff(want, got); diff != "" || isGone != test.isGone {
				t.Errorf("gone: %v, want %v; the domain (-want +got):\n%s", isGone, test.isGone, diff)
			}
			if diff := cmp.Diff(before, test.domain); diff != "" {
				t.Errorf("the domain that was given has changed:\n%s", diff)
			}
		})
	}
}

// allowedMoves are the arrows of the package's picture; deleting is the API's.
var allowedMoves = map[platform.DomainStatus][]platform.DomainStatus{
	platform.DomainStatusCreating:          {platform.DomainStatusPendingValidation, platform.DomainStatusCreateFailed},
	platform.DomainStatusPendingValidation: {platform.DomainStatusBinding, platform.DomainStatusCreateFailed},
	platform.DomainStatusBinding:           {platform.DomainStatusActive},
}

func TestADomainGoesForwardOnly(t *testing.T) {
	statuses := []platform.DomainStatus{
		platform.DomainStatusCreating, platform.DomainStatusPendingValidation, platform.DomainStatusBinding, platform.DomainStatusActive,
		platform.DomainStatusCreateFailed, platform.DomainStatusDeleting, platform.DomainStatusDeleteFailed, "",
	}
	rapid.Check(t, func(t *rapid.T) {
		at := noon
		current := domain(platform.DomainStatusCreating, nil)
		current.Name = rapid.SampledFrom([]string{"shop.test", "*.shop.test", "example.com", "a.example"}).Draw(t, "name")
		for range rapid.IntRange(1, 20).Draw(t, "decisions") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "passes")))
			evidence := Evidence{InForce: rapid.SampledFrom(statuses).Draw(t, "in force")}
			if rapid.Bool().Draw(t, "has fresh records") {
				evidence.Fresh = records(3)
			}
			if rapid.Bool().Draw(t, "asked DNS") {
				evidence.Seen = rapid.SliceOfN(rapid.SampledFrom([]Sight{SightUnknown, SightAbsent, SightSeen}), 3, 3).Draw(t, "seen")
			}
			next, isGone := Decide(at, current, evidence)
			if next.Status != current.Status && !slices.Contains(allowedMoves[current.Status], next.Status) {
				t.Fatalf("%s becomes %s", current.Status, next.Status)
			}
			if isGone {
				t.Fatalf("%s is gone although nobody wished it", current.Status)
			}
			for i, record := range next.Records {
				if record.IsValidated && record.IsFailed {
					t.Fatalf("record %d is validated and failed", i)
				}
				if i < len(current.Records) && current.Records[i].IsValidated && !record.IsValidated {
					t.Fatalf("record %d is not validated any more", i)
				}
				if (next.Status == platform.DomainStatusBinding || next.Status == platform.DomainStatusActive) && !record.IsValidated {
					t.Fatalf("%s without record %d", next.Status, i)
				}
			}
			again, _ := Decide(at, next, Evidence{})
			if diff := cmp.Diff(next, again); diff != "" {
				t.Fatalf("without evidence a decision was made:\n%s", diff)
			}
			current = next
		}
	})
}

func TestThePausesGrowFromASecondToMinutes(t *testing.T) {
	for _, test := range []struct {
		age  time.Duration
		want time.Duration
	}{{0, time.Second}, {8 * time.Second, time.Second}, {4 * time.Minute, 30 * time.Second}, {time.Hour, 5 * time.Minute}, {72 * time.Hour, 5 * time.Minute}} {
		least, most := pauseAfter(test.age, 0), pauseAfter(test.age, 1)
		if least != test.want*8/10 || most != test.want*12/10 {
			t.Errorf("after %s the pause is %s to %s, want a fifth around %s", test.age, least, most, test.want)
		}
	}
}

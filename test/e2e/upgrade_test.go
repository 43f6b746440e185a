package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// upgraded is an apron in the background whose program a test replaces.
type upgraded struct {
	*apron.Apron
	program string
	content []byte
}

// startUpgraded begins an apron in the background, of a copy of the program.
func startUpgraded(t *testing.T) *upgraded {
	t.Helper()
	a := apron.Start(t)
	a.Stop(t) // another begins in the background, and Close ends whichever runs
	original, err := apron.Program()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	u := &upgraded{a, filepath.Join(t.TempDir(), "apron"), content}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(a.Data, "serve.log"))
			t.Logf("the end of its log:\n%s", log[max(0, len(log)-20_000):])
			log, _ = os.ReadFile(filepath.Join(a.Data, "proxy.log"))
			t.Logf("the end of the data planes':\n%s", log[max(0, len(log)-20_000):])
			accesses, _ := os.ReadFile(filepath.Join(a.Data, "access.log"))
			for line := range strings.Lines(string(accesses)) {
				if strings.Contains(line, `"problem":"`) {
					t.Log(line)
				}
			}
		}
	})
	u.install(t, u.content)
	u.detach(t)
	return u
}

// install replaces the program's file.
func (u *upgraded) install(t *testing.T, content []byte) {
	t.Helper()
	if err := os.WriteFile(u.program+".new", content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(u.program+".new", u.program); err != nil {
		t.Fatal(err)
	}
}

// change makes the program another one, which does the same.
func (u *upgraded) change(t *testing.T) {
	t.Helper()
	u.content = append(u.content, 0)
	u.install(t, u.content)
}

// detach starts apron in the background, or has the one that runs go on as the program.
func (u *upgraded) detach(t *testing.T, flags ...string) string {
	t.Helper()
	outcome := u.CommandOf(t, u.program, append([]string{"serve", "--detach"}, flags...)...)
	if outcome.Code != 0 {
		t.Fatalf("serve --detach ends with %d:\n%s%s", outcome.Code, outcome.Out, outcome.Err)
	}
	return outcome.Out
}

func (u *upgraded) pid(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(u.Data, "run", "apron.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var running struct{ PID int }
	if err := json.Unmarshal(content, &running); err != nil {
		t.Fatal(err)
	}
	return running.PID
}

func (u *upgraded) hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(u.pid(t), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// isRunBy says whether the process is run by the file that the program is now.
func (u *upgraded) isRunBy(pid int) (bool, error) {
	running, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false, err
	}
	wanted, err := os.Stat(u.program)
	return err == nil && os.SameFile(running, wanted), err
}

// wantUpgraded waits until apron and its proxy are what the program is now.
func (u *upgraded) wantUpgraded(t *testing.T) {
	t.Helper()
	pid := u.pid(t)
	apron.Until(t, time.Minute, "apron as the new program", func() (bool, error) { return u.isRunBy(pid) })
	apron.Until(t, time.Minute, "a proxy of the new program", func() (bool, error) {
		proxy, err := daemonPID(u.Apron, "proxy")
		if err != nil {
			return false, err
		}
		return u.isRunBy(proxy)
	})
}

// wantOneProxy waits until the proxies of before have ended.
func (u *upgraded) wantOneProxy(t *testing.T) {
	t.Helper()
	apron.Until(t, 30*time.Second, "the end of earlier proxies", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(u.Data, "run", "proxy-*"))
		return len(left) == 0, errors.Join(err, fmt.Errorf("there are %q", left))
	})
	var proxies []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, each := range lines {
		if line, _ := os.ReadFile(each); strings.Contains(string(line), "\x00"+u.Data+"/run/proxy.sock\x00") {
			proxies = append(proxies, filepath.Base(filepath.Dir(each)))
		}
	}
	if pid, err := daemonPID(u.Apron, "proxy"); err != nil || !slices.Equal(proxies, []string{fmt.Sprint(pid)}) {
		t.Errorf("the proxies are %q, want %d alone (%v)", proxies, pid, err)
	}
}

// asking calls the API again and again, each time by a connection of its own, until stop, which returns what went wrong.
func (u *upgraded) asking(t *testing.T) (stop func() (told string, faults []string)) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	sdk := u.SDK()
	ctx, cancel := context.WithCancel(t.Context())
	var calls int
	var slowest time.Duration
	var faults []string
	var group sync.WaitGroup
	group.Go(func() {
		for ; ctx.Err() == nil; calls++ {
			begun := time.Now()
			_, err := sdk.ListServices(context.WithoutCancel(ctx), &apprunner.ListServicesInput{}, func(o *apprunner.Options) { o.HTTPClient = client })
			slowest = max(slowest, time.Since(begun))
			if err != nil {
				faults = append(faults, fmt.Sprintf("at %s, after %s: %v", begun.Format("15:04:05.000"), time.Since(begun), err))
			}
		}
	})
	stop = sync.OnceValues(func() (string, []string) {
		cancel()
		group.Wait()
		return fmt.Sprintf("%d calls of the API, the slowest %s", calls, slowest.Round(time.Millisecond)), faults
	})
	t.Cleanup(func() { stop() })
	return stop
}

// An upgrade is not noticed: not by the services' users, not by those of the API, and not by an operation. There are four, as many data
// planes as may be leaving at a time: at the next one the WebSockets of the first would be closed.
func TestAnUpgradeLosesNothing(t *testing.T) {
	t.Parallel()
	u := startUpgraded(t)
	push(t, u.Apron, "upgraded:live", sample.Variant{Version: "one"})
	service := u.MustCreate(t, fromImage("upgraded", "upgraded:live", nil))
	pid, before := u.pid(t), service.WantOneInstance(t)
	if told := u.detach(t); !strings.Contains(told, "runs already") || u.pid(t) != pid {
		t.Errorf("the same program again: process %d after %d, and it tells %q", u.pid(t), pid, told)
	}
	requests, stop := load.Start(t, u.Client, service.URL, "one", crashRate), u.asking(t)
	long := load.StartLong(t, service.URL, dials(t, u.Apron, service)...)
	secure := load.Start(t, clientByHTTPS(t, u.Apron), "https://"+hostOf(service), "one", crashRate/4)
	byHTTP3 := clientByHTTP3(t, u.Apron)
	third := load.Start(t, byHTTP3, "https://"+hostOf(service), "one", crashRate/4)
	uploads := startUploads(t, u.Apron, service)
	later := make(chan string, 3)
	go func() { later <- u.answer(t, service, "/slow?for=6s") }()
	go func() { later <- u.answer(t, service, "/stream?lines=60") }()
	go func() { later <- streamByHTTP3(byHTTP3(), service) }()
	awaitRequests(t, requests, 50)

	u.change(t)
	if told := u.detach(t); !strings.Contains(told, "goes on as this one") || u.pid(t) != pid {
		t.Errorf("another program: process %d after %d, and it tells %q", u.pid(t), pid, told)
	}
	u.wantUpgraded(t)
	awaitRequests(t, requests, 50)
	if after := service.WantOneInstance(t); after.ID != before.ID {
		t.Errorf("after the upgrade the instance is %+v, before it was %+v", after, before)
	}

	push(t, u.Apron, "upgraded:live", sample.Variant{Version: "two", Environment: map[string]string{"START_DELAY": "3s"}})
	requests.Expect("two")
	secure.Expect("two")
	third.Expect("two")
	operation := service.Deploy(t)
	apron.Until(t, time.Minute, "the health check of the deployment", func() (bool, error) {
		now, err := service.Operation(t.Context(), operation)
		return err == nil && now.HasReached("health check"), err
	})
	u.change(t)
	u.hangup(t)
	u.wantUpgraded(t)
	service.WantOperation(t, operation, "SUCCEEDED")
	requests.Settled()
	secure.Settled()
	third.Settled()
	awaitRequests(t, requests, 50)

	u.install(t, []byte("this is no program"))
	u.hangup(t)
	apron.Until(t, time.Minute, "the refusal of a program that does not run", func() (bool, error) {
		log, err := os.ReadFile(filepath.Join(u.Data, "serve.log"))
		return strings.Contains(string(log), "cannot take over"), err
	})
	u.change(t)
	u.hangup(t)
	u.wantUpgraded(t)
	awaitRequests(t, requests, 50)

	// A program at another path, with another setting.
	u.program = filepath.Join(t.TempDir(), "elsewhere")
	u.change(t)
	if told := u.detach(t, "--builds=3"); !strings.Contains(told, "goes on as this one") {
		t.Errorf("a program at another path: %q", told)
	}
	u.wantUpgraded(t)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), "--builds=3") {
		t.Errorf("the command line is %q, %v", line, err)
	}
	awaitRequests(t, requests, 50)

	for range cap(later) {
		if got := <-later; got != "" {
			t.Error(got)
		}
	}
	told, lost := long.Stop()
	if told.Sockets > 3 || told.Messages < 100 || len(lost) > 0 {
		t.Errorf("of what takes long: %+v, and %q", told, lost)
	}
	for protocol, requests := range map[string]*load.Load{"HTTPS": secure, "HTTP/3": third} {
		if report := requests.Stop(); len(report.Faults()) > 0 || report.PerSecond < crashRate/8 {
			t.Errorf("by %s: %s", protocol, report)
		}
	}
	if sent, faults := uploads.stop(); len(faults) > 0 || sent < 100 {
		t.Errorf("of %d uploads by HTTP/2 %d were lost: %s", sent, len(faults), strings.Join(faults, "\n  "))
	}
	report := requests.Stop()
	calls, faults := stop()
	t.Log(report)
	t.Log(calls)
	if len(report.Faults()) > 0 {
		t.Error("requests were lost or answered wrongly")
	}
	if len(faults) > 0 {
		t.Errorf("%d calls of the API were lost: %s", len(faults), strings.Join(faults, "\n  "))
	}
	if now := u.pid(t); now != pid {
		t.Errorf("the process is %d, and was %d", now, pid)
	}
	u.wantOneProxy(t)
	u.wantNoZombie(t)
}

// wantNoZombie fails the test when a child that has ended was not waited for: a program inherits those of the one before.
func (u *upgraded) wantNoZombie(t *testing.T) {
	t.Helper()
	parent := fmt.Sprint(u.pid(t))
	apron.Until(t, 10*time.Second, "no child that has ended", func() (bool, error) {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, each := range stats {
			stat, _ := os.ReadFile(each)
			_, after, _ := strings.Cut(string(stat), ") ")
			if fields := strings.Fields(after); len(fields) > 1 && fields[0] == "Z" && fields[1] == parent {
				return false, fmt.Errorf("%s", stat)
			}
		}
		return true, nil
	})
}

// answer asks for a path and returns what is wrong with the answer.
func (u *upgraded) answer(t *testing.T, service *apron.Service, path string) string {
	answer, err := u.TryGet(t.Context(), service.URL, path)
	lines := strings.Count(answer.Body, "line")
	if err != nil || answer.Status != http.StatusOK || strings.Contains(path, "stream") && lines != 60 || strings.Contains(path, "slow") && answer.Body != "one" {
		return fmt.Sprintf("GET %s: status %d, %d lines, %v", path, answer.Status, lines, err)
	}
	return ""
}

// apron is killed at any moment of an upgrade. The services answer throughout, and no proxy is left over.
func TestKilledDuringAnUpgrade(t *testing.T) {
	t.Parallel()
	u := startUpgraded(t)
	push(t, u.Apron, "killed:live", sample.Variant{Version: "one"})
	service := u.MustCreate(t, fromImage("killed", "killed:live", nil))
	before := service.WantOneInstance(t)
	requests := load.Start(t, u.Client, service.URL, "one", crashRate)
	for _, milliseconds := range []int{100, 250, 400, 550, 700, 850, 1000, 1300} {
		u.change(t)
		u.hangup(t)
		<-time.After(time.Duration(milliseconds) * time.Millisecond)
		if err := syscall.Kill(u.pid(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitRequests(t, requests, 20)
		u.detach(t)
		u.wantUpgraded(t)
	}
	if after := service.WantOneInstance(t); after != before {
		t.Errorf("the instance is %+v, before it was %+v", after, before)
	}
	report := requests.Stop()
	t.Log(report)
	if len(report.Faults()) > 0 {
		t.Error("requests were lost or answered wrongly")
	}
	u.wantOneProxy(t)
}

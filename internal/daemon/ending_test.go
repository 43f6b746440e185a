package daemon

import (
	"os/exec"
	"testing"
	"time"
)

func TestTheEndOfAProcessIsToldAtOnce(t *testing.T) {
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := identify(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	ended, release := ending(id, true)
	if ended == nil {
		t.Skip("this kernel does not tell")
	}
	defer release()
	select {
	case <-ended:
		t.Error("its end is told while it runs")
	case <-time.After(20 * time.Millisecond):
	}
	_, early := ending(id, true) // given up before the end
	early()
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("its end is not told")
	}
	_ = command.Wait()
}

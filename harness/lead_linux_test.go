package harness_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
)

// getURL is the environment variable that has this test program get the URL that it names, as
// a program that heeds no proxy.
const getURL = "HARNESS_TEST_GET"

func init() {
	url := os.Getenv(getURL)
	if url == "" {
		return
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second} // wall time: input and output
	answer, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = answer.Body.Close() // not read
	fmt.Println(answer.Status)
	os.Exit(0)
}

// A program that heeds no proxy is led to the lab, and the journal names it.
func TestALedProgram(t *testing.T) {
	lab := harness.New(t, harness.WithListeners())
	web := lab.Workload("shop/web-sa")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(url string) (string, error) {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), getURL+"="+url, "HTTPS_PROXY=http://192.0.2.1:1")
		web.Lead(cmd)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("https://mykeyvault.vault.azure.net/secrets?api-version=7.4"); err != nil || out != "401 Unauthorized\n" {
		t.Errorf("expected 401, found %s, %v", out, err)
	}
	if e := lab.Journal().Await(journal.Event{Kind: journal.Access, Outcome: journal.Denied}); e.Program == nil || e.Program.PID == 0 {
		t.Errorf("expected the program in the journal, found %+v", e)
	}
	if out, err := run("https://192.0.2.7/"); err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("expected no way out, found %s, %v", out, err)
	}
	lab.Journal().Await(journal.Event{Kind: journal.Escape, Host: "192.0.2.7:443"})
}

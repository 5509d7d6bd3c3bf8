// Command wiemu-server is the emulator alone, for images and clusters: the listeners
// of a lab, and a token file for each workload of its wiemu.yaml.
//
//	wiemu-server -f wiemu.yaml -state /state -lab /lab
//	wiemu-server -healthy 127.0.0.1:443
//	wiemu-server -state /state -link 127.0.0.1:9444     (another link to its console)
//	wiemu-server timeshift -- COMMAND...     (from the directory of -lockstep)
//	wiemu-server mounted FILE -- COMMAND...  (with the variables that -vaults wrote into FILE)
//
// In a node of a cluster it is a service of systemd, which signs the cluster's
// service-account tokens (package nodeservice):
//
//	wiemu-server -f wiemu.yaml -state /var/lib/wiemu -signer /etc/kubernetes/pki/wiemu/signer.sock \
//	    -webhook 127.0.0.1:9443 -cluster /etc/kubernetes/admin.conf -advertise 169.254.7.7
//
// Called by the name kube-apiserver it starts the real one, further down the PATH,
// with its tokens signed there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/wiemu/wiemu/internal/nodeservice"
	"github.com/wiemu/wiemu/internal/timeshift"
)

func main() {
	if timeshift.IsHelperProcess() {
		timeshift.RunHelper(nil) // nobody asks it for the kinds of programs
		return
	}
	if nodeservice.IsLauncher(os.Args) {
		fmt.Fprintln(os.Stderr, "wiemu's launcher of kube-apiserver:", nodeservice.Launch(os.Args, os.Stderr))
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == "timeshift" {
		code, err := runLockstep(context.Background(), os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "wiemu-server:", err)
		}
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == "mounted" {
		code, err := runMounted(os.Args[2:])
		fmt.Fprintln(os.Stderr, "wiemu-server:", err)
		os.Exit(code)
	}
	if err := serve(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "wiemu-server:", err)
		os.Exit(1)
	}
}

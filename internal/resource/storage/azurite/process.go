package azurite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/truncate"
)

// Wall time, as all of this is about a child process.
const (
	startTime = 3 * time.Minute // how long Azurite may take until it listens
	endTime   = 5 * time.Second // and until it has ended
)

const howToInstall = "npm install -g azurite installs it (3.36 and later need Node 22, azurite@3.35 runs on Node 20); storage: {command: [node, PATH/azurite.js]} in wiemu.yaml says where it is; without storage: {backend: azurite}, blobs and queues need nothing"

// process is a running Azurite.
type process struct {
	cmd       *exec.Cmd
	listening chan listener
	gone      chan struct{} // closed when it has ended
	err       error         // why; readable when gone is closed
	said      truncate.Tail
}

type listener struct {
	service storage.Service
	address string
}

// start runs the command with a further variable. Its ports are free ones of loopback.
func start(command []string, variable string) (*process, error) {
	p := &process{listening: make(chan listener, 3), gone: make(chan struct{})}
	p.cmd = exec.Command(command[0], arguments(command)...) //nolint:gosec // what the configuration names
	p.cmd.Env = append(os.Environ(), variable)
	p.cmd.Stderr = &p.said
	alone(p.cmd)
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start Azurite as %s: %w; %s", strings.Join(command, " "), err, howToInstall)
	}
	go func() {
		defer close(p.gone)
		p.read(stdout)
		if p.err = p.cmd.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
	}()
	return p, nil
}

// arguments are those of the command and what follows them. Never --debug among them: it
// logs the Authorization header of each request.
func arguments(command []string) []string {
	all := slices.Concat(command[1:], []string{
		"--silent", "--inMemoryPersistence", "--disableTelemetry",
		// SDKs are ahead of it, and so are their headers.
		"--skipApiVersionCheck", "--loose",
	})
	for _, s := range []storage.Service{storage.Blob, storage.Queue, storage.Table} {
		all = append(all, "--"+string(s)+"Host", "127.0.0.1", "--"+string(s)+"Port", "0")
	}
	return all
}

// read finds the addresses in what Azurite prints: it says them whatever --silent, such as
// "Azurite Blob service is successfully listening at http://127.0.0.1:39171".
func (p *process) read(stdout io.Reader) {
	listens := regexp.MustCompile(`^Azurite (Blob|Queue|Table) service is successfully listening at http://(\S+)$`)
	lines := bufio.NewScanner(io.TeeReader(stdout, &p.said))
	for lines.Scan() {
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case p.listening <- listener{storage.Service(strings.ToLower(m[1])), m[2]}:
			default: // it has said so already
			}
		}
	}
	_, _ = io.Copy(io.Discard, stdout) // so that it is not held up by a long line
}

// ready waits until every service listens, and returns where.
func (p *process) ready(ctx context.Context) (map[storage.Service]string, error) {
	late := time.NewTimer(startTime)
	defer late.Stop()
	addresses := map[storage.Service]string{}
	for len(addresses) < 3 {
		select {
		case l := <-p.listening:
			addresses[l.service] = l.address
		case <-p.gone:
			return nil, fmt.Errorf("Azurite ended while it started (%w): %s; %s", p.err, p.said.String(), howToInstall)
		case <-late.C:
			return nil, fmt.Errorf("Azurite does not listen after %v: %s", startTime, p.said.String())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return addresses, nil
}

// ended returns why Azurite has ended, nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.gone:
		return p.err
	case <-time.After(time.Second): // wall time: it may be about to
		return nil
	}
}

// Close ends the process.
func (p *process) Close() error {
	p.signal(os.Interrupt)
	select {
	case <-p.gone:
	case <-time.After(endTime):
		p.signal(os.Kill)
		<-p.gone
	}
	return nil
}

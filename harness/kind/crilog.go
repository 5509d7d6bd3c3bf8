package kind

import (
	"fmt"
	"io"
	"strings"
)

// logCopy passes on the output of a container as its log grows.
type logCopy struct {
	passed int // bytes of the log
}

// write takes all of the log and passes on what it did not have before, each
// stream to its own writer. A line that is not complete waits for the next time.
// Kubernetes: kubernetes/kubernetes, pkg/kubelet/kuberuntime/logs/logs.go, parseCRILog:
// TIME STREAM TAGS TEXT, of which the tag P says that the line goes on.
func (c *logCopy) write(log string, stdout, stderr io.Writer) error {
	if c.passed > len(log) {
		return fmt.Errorf("the log has become shorter: expected %d bytes, found %d", c.passed, len(log))
	}
	for line := range strings.Lines(log[c.passed:]) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) < 3 {
			return fmt.Errorf("the log: expected TIME STREAM TAGS TEXT, found %s", shortened(line, 80))
		}
		text := ""
		if len(fields) == 4 {
			text = fields[3]
		}
		if tag, _, _ := strings.Cut(fields[2], ":"); tag != "P" {
			text += "\n"
		}
		to := stdout
		if fields[1] == "stderr" {
			to = stderr
		}
		if _, err := io.WriteString(to, text); err != nil {
			return err
		}
		c.passed += len(line)
	}
	return nil
}

package kind

import (
	"fmt"
	"strings"
	"unicode"

	"sigs.k8s.io/kind/pkg/log"
)

// logger makes steps of what kind's library tells a person.
type logger struct {
	progress func(step string)
}

func (*logger) Warn(string)          {} // of cgroup v1, and of what fails and is returned, too
func (*logger) Warnf(string, ...any) {}

func (*logger) Error(string)          {} // returned, too
func (*logger) Errorf(string, ...any) {}

func (l *logger) V(level log.Level) log.InfoLogger { return info{l, level == 0} }

type info struct {
	*logger
	enabled bool
}

func (i info) Enabled() bool { return i.enabled }

func (i info) Infof(format string, args ...any) { i.Info(fmt.Sprintf(format, args...)) }

// Info takes the lines that begin a step: " • Preparing nodes 📦  ...".
// Source: kind, pkg/internal/cli/status.go
func (i info) Info(message string) {
	step, begins := strings.CutPrefix(strings.TrimSpace(message), "•")
	if !i.enabled || !begins {
		return
	}
	step = strings.TrimSuffix(strings.TrimSpace(step), "...")
	step = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.So, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, step)
	i.progress("kind: " + strings.TrimSpace(step))
}

package resource_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
)

// lines is all that a resource with a protocol of its own needs to be: the first line is
// the token, and the answer is who it speaks for.
type lines struct{ kit resource.Kit }

func linesDescription() resource.Description {
	return resource.Description{
		Name: "lines", Title: "Azure Lines", AppID: "99999999-0000-4000-8000-000000000002", Ports: resource.On(25432, 25433),
		Audiences: func(cloud.Cloud) []string { return []string{"https://lines.wiemu.test"} },
		Hosts:     func(cloud.Cloud) []string { return []string{".lines.wiemu.test"} },
		New:       func(k resource.Kit, _ any) (resource.Service, error) { return &lines{k}, nil },
	}
}

func (l *lines) ServeStream(ctx context.Context, c *hostmux.Connection) {
	conn, err := c.StartTLS(ctx, c)
	if err != nil {
		return
	}
	in := bufio.NewReader(conn)
	token, _ := in.ReadString('\n')
	if token == "defect\n" {
		panic("a defect")
	}
	defer c.Begin()()
	call := &resource.Call{Host: c.Host, Token: strings.TrimSpace(token)}
	if failed := l.kit.Login(ctx, conn, call, &login{call, l}); failed != nil {
		fmt.Fprintln(conn, "refused:", failed.Code)
		return
	}
	fmt.Fprintln(conn, "welcome", call.Caller.ClientID)
}

type login struct {
	*resource.Call
	*lines
}

func (l *login) Demand() (*resource.Want, *resource.Failure) { return l.kit.Want(""), nil }

func (l *login) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return &resource.Failure{Code: "18456", Message: "Login failed.", Meaning: refused.Meaning(), Remedy: refused.Remedy()}
	}
	return nil
}

func (l *login) Interrupt(int, time.Duration) *resource.Failure {
	return &resource.Failure{Code: "40501", Message: "The service is busy."}
}

func (l *login) Describe(*journal.Event) string { return "log in" }

package resource_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
)

// lines is all that a resource with a protocol of its own needs to be: the first line is
// the token, every other one is sent back.
type lines struct{ kit resource.Kit }

func linesDescription() resource.Description {
	return resource.Description{
		Name: "lines", Title: "Azure Lines", AppID: "99999999-0000-4000-8000-000000000002", Port: 5432,
		Audiences: func(cloud.Cloud) []string { return []string{"https://lines.wiemu.test"} },
		Hosts:     func(cloud.Cloud) []string { return []string{".lines.wiemu.test"} },
		New:       func(k resource.Kit, _ any) (resource.Service, error) { return &lines{k}, nil },
	}
}

func (l *lines) ServeStream(ctx context.Context, conn net.Conn, host string) {
	in := bufio.NewReader(conn)
	token, _ := in.ReadString('\n')
	c := &resource.Call{Host: host, Token: strings.TrimSpace(token)}
	if failed := l.kit.Login(ctx, conn, c, &login{c, l}); failed != nil {
		fmt.Fprintln(conn, "refused:", failed.Code)
		return
	}
	fmt.Fprintln(conn, "welcome", c.Caller.ClientID)
	_, _ = io.Copy(conn, in)
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

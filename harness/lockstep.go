package harness

import (
	"context"
	"io"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness/timeshift"
)

func (l *Lab) serveClock(conn io.ReadWriteCloser) { timeshift.Serve(conn, l.Clock()) }

// FollowClock returns the clock of the running lab that the client steers, for
// programs of this process to live on. Close it.
func FollowClock(ctx context.Context, c *control.Client) (*timeshift.Remote, error) {
	conn, err := c.Stream(ctx, control.ClockPath)
	if err != nil {
		return nil, err
	}
	return timeshift.Connect(conn)
}

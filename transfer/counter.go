package transfer

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
)

// counter passes everything and counts it. It is a [Stream].
type counter struct {
	cfg      Config
	cmd      Command
	began    time.Time
	up, down atomic.Int64
	once     sync.Once
}

func newCounter(cfg Config, c Command) *counter {
	return &counter{cfg: cfg, cmd: c, began: cfg.Clock()}
}

func (c *counter) FromClient(p []byte) error {
	c.up.Add(int64(len(p)))
	_, err := c.cfg.Target.Write(p)
	return err
}

func (c *counter) FromTarget(p []byte) error {
	c.down.Add(int64(len(p)))
	_, err := c.cfg.Client.Write(p)
	return err
}

func (c *counter) ClientDone() error { return nil }
func (c *counter) TargetDone() error { return nil }

func (c *counter) Close() {
	c.once.Do(func() {
		if c.cfg.Report == nil {
			return
		}
		e := c.cmd.Event(sallyport.FileBroken, "the channel ended before the command did")
		e.Time, e.EndedAt = c.began, c.cfg.Clock()
		if c.cfg.Exited != nil {
			switch code, ok := c.cfg.Exited(); {
			case ok && code == 0:
				e.Outcome, e.Reason = sallyport.FileComplete, ""
			case ok:
				e.Outcome, e.Reason = sallyport.FileFailed, fmt.Sprintf("exit status %d", code)
			}
		}
		e.Bytes, e.NoSum = c.up.Load(), "what "+string(c.cmd.Kind)+" sends is not read"
		if e.Op == sallyport.OpDownload {
			e.Bytes = c.down.Load()
		}
		c.cfg.Report(e)
	})
}

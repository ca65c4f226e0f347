package control

import (
	"context"
	"io"
	"time"

	"sallyport"
	"sallyport/replay"
)

// PlayOptions say how to play a recording.
type PlayOptions = replay.PlayOptions

// ExportOptions say what to write of a recording.
type ExportOptions = replay.ExportOptions

// Format is a form in which a recording leaves the gateway.
type Format = replay.Format

// Query selects recordings. The zero Query selects all.
type Query struct {
	User, Account, Target string
	Since, Until          time.Time
}

// Recordings returns the selected recordings, oldest first.
func (c *Control) Recordings(ctx context.Context, caller Caller, q Query) ([]Recording, error) {
	if err := c.require(ctx, caller, sallyport.PermRecordings, sallyport.Event{Type: "recording.list"}); err != nil {
		return nil, err
	}
	all, err := c.Library.List(ctx, replay.Query(q))
	if err != nil {
		return nil, err
	}
	list := make([]Recording, len(all))
	for i, r := range all {
		list[i] = c.viewRecording(r)
	}
	return list, nil
}

// Recording returns the facts of one recording.
func (c *Control) Recording(ctx context.Context, caller Caller, prefix string) (Recording, error) {
	r, err := c.recording(ctx, caller, "recording.show", prefix)
	if err != nil {
		return Recording{}, err
	}
	return c.viewRecording(r), nil
}

// Play shows a recording. The audit log has it before the first byte is shown.
func (c *Control) Play(ctx context.Context, caller Caller, prefix string, o PlayOptions) error {
	r, err := c.recording(ctx, caller, "recording.play", prefix)
	if err != nil {
		return err
	}
	if err := c.viewed(caller, "recording.play", r, map[string]string{"channel": o.Channel}); err != nil {
		return err
	}
	return replay.Play(ctx, r, o)
}

// Export writes a recording to w. The audit log has it before the first byte is
// written.
func (c *Control) Export(ctx context.Context, caller Caller, w io.Writer, prefix string, o ExportOptions) error {
	r, err := c.recording(ctx, caller, "recording.export", prefix)
	if err != nil {
		return err
	}
	if err := c.viewed(caller, "recording.export", r, map[string]string{"channel": o.Channel, "format": string(o.Format)}); err != nil {
		return err
	}
	return replay.Export(ctx, w, r, o)
}

func (c *Control) recording(ctx context.Context, caller Caller, typ, prefix string) (replay.Recording, error) {
	e := sallyport.Event{Type: typ, Details: map[string]string{"asked_for": prefix}}
	if err := c.require(ctx, caller, sallyport.PermRecordings, e); err != nil {
		return replay.Recording{}, err
	}
	all, err := c.Library.Find(ctx, prefix)
	if err != nil {
		return replay.Recording{}, err
	}
	return pick("recording", prefix, all, func(r replay.Recording) string { return r.Session.ID })
}

func (c *Control) viewed(caller Caller, typ string, r replay.Recording, details map[string]string) error {
	s := r.Session
	details["for_user"] = s.User
	return c.record(caller, sallyport.Event{
		Type: typ, Session: s.ID, Grant: s.Grant, Role: s.Role,
		Account: s.Access.Account, Target: s.Access.Target, Details: details,
	})
}

func (c *Control) viewRecording(r replay.Recording) Recording {
	v := Recording{
		Session: viewSession(r.Session), Names: append([]string{}, r.Channels...),
		Sealed: r.Sealed, Truncated: r.Truncated, Damaged: r.Damaged,
	}
	if r.Sealed || r.Damaged != "" {
		v.State = "ended"
	}
	return v
}

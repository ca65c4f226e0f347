package recorder

import (
	"os"
	"syscall"

	"sallyport"
)

// Check makes Dir where it is missing, and refuses one that others can read or
// that belongs to another: whoever owns it can open it to anybody later.
func (r *Recorder) Check() error {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot make the recordings directory: %w", err)
	}
	info, err := os.Stat(r.Dir) // it may be a link to a larger disk
	if err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "cannot read the recordings directory: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s belongs to another user", r.Dir).
			WithHint("run: chown %d %s", os.Geteuid(), r.Dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is open to other users (mode %04o)", r.Dir, mode).
			WithHint("run: chmod 700 %s", r.Dir)
	}
	return nil
}

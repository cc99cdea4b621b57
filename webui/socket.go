package webui

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

const socketName = "admin.sock"

// maxSocketPath is how long the name of a Unix socket may be, in bytes (unix(7): 108 with its closing zero).
const maxSocketPath = 107

// DialSocket connects to the interface of the gateway that uses the data folder. On that connection one
// is an administrator; it fails with os.ErrPermission for who may not be one.
func DialSocket(ctx context.Context, dataDir string) (conn net.Conn, err error) {
	err = shortened(filepath.Join(dataDir, socketName), func(short string) (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", short)
		return err
	})
	return conn, err
}

// shortened calls use with a name of the socket that the kernel takes: a long one goes through its open folder.
func shortened(path string, use func(short string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// listenUnix makes the socket with mode 0600. It is bound under another name
// first, so that nobody can open it before the mode is set. A socket that a
// killed process left is replaced: data_dir is locked against a second one.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s exists and is no socket", path)
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := shortened(fresh, func(short string) (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "unix", short)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it would unlink the former name
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{Listener: l, path: path}, nil
}

// unixListener removes its socket when it closes.
type unixListener struct {
	net.Listener
	path string
	once sync.Once
}

// Close stops listening and removes the socket.
func (l *unixListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		if rmErr := os.Remove(l.path); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	})
	return err
}

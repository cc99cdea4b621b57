package gateway_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/gateway"
	"fieldgate/storage"
)

func TestStack_StopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []string // written by one part at a time: stop waits for each
		s := gateway.NewStack(t.Context())
		for _, name := range []string{"first", "second", "third"} {
			s.Start(name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				ended = append(ended, name)
				return nil
			})
		}
		require.NoError(t, s.Stop(10*time.Second))
		require.Equal(t, []string{"third", "second", "first"}, ended)
	})
}

func TestStack_NamesWhatDoesNotEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gateway.NewStack(t.Context())
		release := make(chan struct{})
		s.Start("good", func(ctx context.Context) error { <-ctx.Done(); return nil })
		s.Start("stuck", func(context.Context) error { <-release; return nil })
		s.Start("broken", func(context.Context) error { return errors.New("broken") })
		start := time.Now()
		require.EqualError(t, s.Stop(10*time.Second), "stop within 10s: stuck, good did not end")
		require.Equal(t, 10*time.Second, time.Since(start))
		close(release)
	})
}

func TestStack_PartsOutliveTheContextUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := gateway.NewStack(ctx)
		running := true
		s.Start("part", func(ctx context.Context) error { <-ctx.Done(); running = false; return nil })
		cancel()
		synctest.Wait()
		require.True(t, running)
		require.NoError(t, s.Stop(time.Second))
		require.False(t, running)
	})
}

func TestNotify_GivesSignsOfLifeWhileTheProbeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		var alive atomic.Bool
		alive.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- gateway.Notify(ctx, 20*time.Second, func(context.Context) bool { return alive.Load() }, func(state string) (bool, error) {
				sent = append(sent, state)
				return true, nil
			})
		}()
		time.Sleep(50 * time.Second)
		alive.Store(false)
		time.Sleep(50 * time.Second)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"}, sent)
	})
}

func TestPatience_AsksForTimeUntilTheStartIsOver(t *testing.T) {
	for _, c := range []struct {
		name  string
		told  bool
		err   error
		after time.Duration
		want  int
	}{
		{"a long start", true, nil, 5 * time.Minute, 15},
		{"a short one", true, nil, time.Second, 1},
		{"nobody listens", false, nil, 5 * time.Minute, 1},
		{"it can't be told", true, errors.New("broken"), 5 * time.Minute, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent []string // by one goroutine, for which end waits
				end := gateway.Patience(func(state string) (bool, error) {
					sent = append(sent, state)
					return c.told, c.err
				})
				time.Sleep(c.after - time.Millisecond)
				end()
				end()
				require.Equal(t, slices.Repeat([]string{"EXTEND_TIMEOUT_USEC=60000000"}, c.want), sent)
			})
		})
	}
}

func TestProbe_OnlyADiskThatTakesNothingExcusesSilence(t *testing.T) {
	g := build(t, hostFile(t))
	require.False(t, g.DiskAlarm())
	g.Alarms().Raise("spool", storage.QueueFull, "dropped")
	g.Alarms().Raise("spool", storage.LostMessages, "lost")
	g.Alarms().Raise("mqtt", storage.NotCommitted, "not the spool's")
	require.False(t, g.DiskAlarm())
	g.Alarms().Raise("spool", storage.NotCommitted, "full")
	require.True(t, g.DiskAlarm())
}

func TestNew_GivesNoGatewayWithAnError(t *testing.T) {
	file := hostFile(t)
	file.Admin.Address = "nonsense"
	g, err := gateway.New(file, "1.2.3", quiet())
	require.Error(t, err)
	require.Nil(t, g, "its storage is closed: nobody must close it again")
	file.Admin.Address = "127.0.0.1:0"
	build(t, file)
}

func TestMemoryLimit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, tt := range []struct {
		name string
		fs   fstest.MapFS
		want int64
	}{
		{"no cgroup", fstest.MapFS{}, 0},
		{"no limit", fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n")}, 0},
		{"its own", fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("100000\n")}, 90000},
		{"one around it", fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.high": file("50000\n")}, 45000},
		{"the root of a container", fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1000\n")}, 900},
		{"cgroup version 1", fstest.MapFS{"proc/self/cgroup": file("5:memory:/a\n"), "sys/fs/cgroup/memory.max": file("1000\n")}, 0},
		{"nonsense", fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("-3\n")}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, gateway.MemoryLimit(tt.fs)) })
	}
}

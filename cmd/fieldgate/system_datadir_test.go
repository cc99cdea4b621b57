package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// mount gives the box a data folder on a file system of its own.
func (b *box) mount(source, kind, options string) {
	b.t.Helper()
	require.NoError(b.t, os.MkdirAll(b.data(), 0o700))
	out, err := exec.Command("mount", "-t", kind, "-o", options, source, b.data()).CombinedOutput()
	if err != nil {
		b.t.Skipf("only root, outside a locked container, can mount a file system: %s", out)
	}
	b.t.Cleanup(func() {
		b.kill(syscall.SIGKILL)
		_ = syscall.Unmount(b.data(), syscall.MNT_DETACH) // the test may have done it
	})
}

func (b *box) unmount() {
	b.t.Helper()
	require.NoError(b.t, syscall.Unmount(b.data(), 0))
}

// remount changes whether the data folder may be written to. While a file is open for writing the kernel refuses it.
func (b *box) remount(option string) {
	b.t.Helper()
	out, err := exec.Command("mount", "-o", "remount,"+option, b.data()).CombinedOutput()
	require.NoError(b.t, err, "%s", out)
}

// page gets a path of the admin page.
func (b *box) page(path string) (status int, body string) {
	b.t.Helper()
	awaitPort(b.t, b.admin)
	response, err := http.Get("http://" + b.admin + path)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return response.StatusCode, string(text)
}

// alarmed tells whether the gateway says that one of its parts has an alarm.
func (b *box) alarmed(part string) bool {
	response, err := http.Get("http://" + b.admin + "/api/v1/health/ready")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var health struct{ Parts []string }
	return json.NewDecoder(response.Body).Decode(&health) == nil && strings.Contains(strings.Join(health.Parts, " "), part)
}

// unusable is a way in which a data folder can't be used.
type unusable struct {
	name   string
	spoil  func(t *testing.T, b *box)
	mend   func(t *testing.T, b *box)
	words  string
	knows  bool // the settings, from before
	mounts bool
}

func unusables() []unusable {
	return []unusable{
		{"a file in its place", func(t *testing.T, b *box) {
			require.NoError(t, os.Rename(b.data(), b.data()+".away"))
			require.NoError(t, os.WriteFile(b.data(), nil, 0o600))
		}, func(t *testing.T, b *box) {
			require.NoError(t, os.Remove(b.data()))
			require.NoError(t, os.Rename(b.data()+".away", b.data()))
		}, "not a directory", false, false},
		{"a link to where there can be no folder", func(t *testing.T, b *box) {
			require.NoError(t, os.Rename(b.data(), b.data()+".away"))
			require.NoError(t, os.Symlink("/proc/fieldgate/data", b.data()))
		}, func(t *testing.T, b *box) {
			require.NoError(t, os.Remove(b.data()))
			require.NoError(t, os.Rename(b.data()+".away", b.data()))
		}, "file exists", false, false},
		{"a file of it is a folder", func(t *testing.T, b *box) {
			require.NoError(t, os.Rename(filepath.Join(b.data(), "lock"), b.data()+".lock"))
			require.NoError(t, os.Mkdir(filepath.Join(b.data(), "lock"), 0o700))
		}, func(t *testing.T, b *box) {
			require.NoError(t, os.Remove(filepath.Join(b.data(), "lock")))
			require.NoError(t, os.Rename(b.data()+".lock", filepath.Join(b.data(), "lock")))
		}, "is a directory", true, false},
		{"no rights", func(t *testing.T, b *box) {
			if os.Geteuid() != 0 {
				t.Skip("only root can run the gateway as somebody else")
			}
			b.uid = 65534
			path := must(built())
			for _, open := range []string{filepath.Dir(path), path, b.config(), filepath.Join(b.dir, "settings.yaml"), b.dir, filepath.Dir(b.dir)} {
				require.NoError(t, os.Chmod(open, 0o777))
			}
		}, func(t *testing.T, b *box) {
			require.NoError(t, filepath.WalkDir(b.data(), func(path string, _ os.DirEntry, err error) error {
				return errors.Join(err, os.Chown(path, b.uid, b.uid))
			}))
		}, "permission denied", false, false},
		{"a read-only file system", func(_ *testing.T, b *box) { b.remount("ro") }, func(_ *testing.T, b *box) { b.remount("rw") },
			"read-only file system", true, true},
	}
}

// TestSystem_ServesWithoutADataFolder: whatever is wrong with the folder, the box starts, says what is wrong to
// everybody, carries messages that need not be kept, refuses the others, and goes on as always once it is mended.
func TestSystem_ServesWithoutADataFolder(t *testing.T) {
	for _, c := range unusables() {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			if c.mounts {
				b.mount("none", "tmpfs", "size=64m,mode=0700")
			}
			b.start()
			sub := dialPeer(t, b.mqtt, hello(mqtt.V311, "kept"), false)
			sub.subscribe(mqtt.Subscription{Filter: "k", QoS: 1})
			sub.leave()
			pub := dialPeer(t, b.mqtt, hello(mqtt.V311, "pub"), false)
			pub.publish("k", "before", mqtt.AtLeastOnce, 1, false, false)
			pub.readAck(packet.PUBACK, 1)
			b.apply("accounts: [{username: somebody, password: secret}]\n")
			b.kill(syscall.SIGTERM)

			c.spoil(t, b)
			b.start()
			b.saysWhatIsWrong(c)
			b.carriesWhatNeedNotBeKept(c.knows)

			c.mend(t, b)
			await(t, "it has started anew", b.isReady)
			awaitPort(t, b.mqtt)
			sub = dialPeer(t, b.mqtt, hello(mqtt.V311, "kept"), true)
			require.Equal(t, "before", string(sub.readPublish().Payload), "what was acknowledged before is there")
			pub = dialPeer(t, b.mqtt, hello(mqtt.V311, "pub"), true)
			pub.publish("k", "after", mqtt.AtLeastOnce, 2, false, false)
			require.Equal(t, "after", string(sub.readPublish().Payload))
			pub.readAck(packet.PUBACK, 2)
			left, err := filepath.Glob(filepath.Join(b.dir, "fieldgate-standin-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// saysWhatIsWrong: in the log, on the page and as an alarm.
func (b *box) saysWhatIsWrong(c unusable) {
	t := b.t
	await(t, "the alarm stands", func() bool { return b.alarmed("storage") })
	status, text := b.page("/")
	if c.knows {
		require.Equal(t, http.StatusOK, status, "people can log in, and see the alarm")
	} else {
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, text, c.words)
		require.Contains(t, text, b.data())
	}
	status, text = b.page("/api/v1/health/live")
	require.Equal(t, http.StatusOK, status, text)
	log, err := os.ReadFile(b.log.Name())
	require.NoError(t, err)
	require.Contains(t, string(log), c.words)
}

// isReady tells whether nothing is wrong with any part.
func (b *box) isReady() bool {
	response, err := http.Get("http://" + b.admin + "/api/v1/health/ready")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// carriesWhatNeedNotBeKept: QoS 0 goes through, what would have to be kept is refused, nothing is acknowledged in vain.
func (b *box) carriesWhatNeedNotBeKept(knows bool) {
	t := b.t
	passing := packet.Connect{Version: mqtt.V5, CleanStart: true, ReceiveMaximum: 65535, RequestProblem: true}
	passing.ClientID = "reader"
	reader := dialPeer(t, b.mqtt, passing, false)
	reader.subscribe(mqtt.Subscription{Filter: "#"})
	passing.ClientID = "writer"
	writer := dialPeer(t, b.mqtt, passing, false)
	writer.publish("t", "passes", mqtt.AtMostOnce, 0, false, false)
	require.Equal(t, "passes", string(reader.readPublish().Payload))
	writer.publish("t", "to keep", mqtt.AtLeastOnce, 7, true, false)
	require.Equal(t, mqtt.QuotaExceeded, writer.readAck(packet.PUBACK, 7).Reason)

	lasting := hello(mqtt.V5, "lasting")
	var ack packet.Connack
	require.NoError(t, ack.Decode(b.knock(lasting), mqtt.V5))
	require.Equal(t, mqtt.ServerUnavailable, ack.Reason, "a session that lasts can't be kept")

	apply := exec.Command(must(built()), "config", "apply", filepath.Join(b.dir, "settings.yaml"), "--config", b.config())
	apply.SysProcAttr = b.identity()
	out, err := apply.CombinedOutput()
	require.Error(t, err, "settings can't be kept: %s", out)
	claim := fmt.Sprintf("http://%s/api/v1/setup", b.admin)
	response, err := http.Post(claim, "application/json", strings.NewReader(`{"name":"thief","password":"correct horse battery"}`))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "nobody becomes the owner of a box whose owner is not known")
	if knows {
		known := packet.Connect{Version: mqtt.V5, ClientID: "somebody", CleanStart: true, HasUsername: true, Username: "somebody", HasPassword: true, Password: []byte("secret")}
		require.NoError(t, ack.Decode(b.knock(known), mqtt.V5))
		require.Equal(t, mqtt.Success, ack.Reason)
	}
}

// knock connects and gives the answer, whatever it is.
func (b *box) knock(hello packet.Connect) []byte {
	b.t.Helper()
	p := knockPeer(b.t, b.mqtt, hello)
	return p.read(packet.CONNACK)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSystem_SecondInstanceEnds: the folder is fine, but another fieldgate has it.
func TestSystem_SecondInstanceEnds(t *testing.T) {
	b := newBox(t)
	b.start()
	began := time.Now()
	out, err := exec.Command(must(built()), "serve", "--config", b.config()).CombinedOutput()
	require.Error(t, err)
	require.Less(t, time.Since(began), patience)
	require.Contains(t, string(out), fmt.Sprintf("data directory %s is in use by process %d", b.data(), b.cmd.Process.Pid))
}

// TestSystem_SurvivesAReadOnlyDisk lets the kernel find an error on the file system while everything is in use, so
// that it makes it read-only, as it does on a dying memory card: nothing is acknowledged from then on, what needs no
// disk goes on, and queues can be read. The service starts on such a disk too, and once the disk is mounted
// anew nothing that was acknowledged is missing.
func TestSystem_SurvivesAReadOnlyDisk(t *testing.T) {
	b := newBox(t)
	image := filepath.Join(b.dir, "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 128<<20))
	out, err := exec.Command(need(t, "mkfs.ext4"), "-q", "-F", image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b.mount(image, "ext4", "loop,errors=remount-ro")
	device, err := exec.Command("findmnt", "-no", "SOURCE", b.data()).Output()
	require.NoError(t, err)
	b.start()
	keeper := dialPeer(t, b.mqtt, hello(mqtt.V311, "kept"), false)
	keeper.subscribe(mqtt.Subscription{Filter: "k", QoS: 1})
	keeper.leave()
	load := newPublisher(b.mqtt, "k", mqtt.AtLeastOnce)
	load.start()
	ended := false
	defer func() {
		if !ended {
			load.close()
		}
	}()
	await(t, "messages are acknowledged", func() bool { return load.count() > 500 })
	// Linux 6.18 answers an fsync that is under way when the error comes with success, and drops what it was for
	// (seen with a traced run); so nothing may be under way.
	load.finish()
	await(t, "all is acknowledged", load.idle)
	syscall.Sync()
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(device))), "trigger_fs_error")
	require.NoError(t, os.WriteFile(trigger, []byte("1"), 0o200))
	before := load.count()
	load.resume()
	await(t, "the alarm stands", func() bool { return b.alarmed("spool") })

	passing := packet.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "passing"}
	c := dialPeer(t, b.mqtt, passing, false)
	c.subscribe(mqtt.Subscription{Filter: "t"})
	c.publish("t", "passes", mqtt.AtMostOnce, 0, false, false)
	require.Equal(t, "passes", string(c.readPublish().Payload))
	c.leave()
	keeper = dialPeer(t, b.mqtt, hello(mqtt.V311, "kept"), true)
	for n := range 10 {
		m := keeper.readPublish()
		require.Equal(t, fmt.Sprint(n), string(m.Payload), "the queue is read from a disk that can't be written to")
		keeper.ack(packet.PUBACK, m.PacketID)
	}
	keeper.conn.Close()
	require.Equal(t, before, load.count(), "what can't be kept is not acknowledged")

	b.kill(syscall.SIGKILL)
	b.start()
	await(t, "the alarm stands", func() bool { return b.alarmed("storage") })
	require.Equal(t, before, load.count())
	b.unmount() // nobody holds a file of it any more
	b.mount(image, "ext4", "loop,errors=remount-ro")
	await(t, "messages are acknowledged again", func() bool { return load.count() > before+500 })
	load.close()
	ended = true
	keeper = dialPeer(t, b.mqtt, hello(mqtt.V311, "kept"), true)
	var came []int
	for n := 0; n < load.count(); {
		m := keeper.readPublish()
		keeper.ack(packet.PUBACK, m.PacketID)
		number, err := strconv.Atoi(string(m.Payload))
		require.NoError(t, err)
		came = append(came, number)
		require.LessOrEqual(t, number, n, "in order, none missing: %v", came[max(0, len(came)-60):])
		if number == n { // else it came again, for its publisher was not answered
			n++
		}
	}
}

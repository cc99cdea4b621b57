package main_test

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chromium runs a test of webui/app/test/e2e in the system's Chromium against a gateway of ours.
func chromium(t *testing.T, test string, env ...string) {
	t.Helper()
	need(t, "chromium")
	const app = "../../webui/app"
	if _, err := os.Stat(app + "/node_modules"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the page's npm packages are missing: run make install-tools")
		}
		t.Skip("the page's npm packages are not installed")
	}
	if _, err := os.Stat("../../webui/dist/index.html"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the page is not built: run make page")
		}
		t.Skip("the page is not built")
	}
	cmd := exec.Command("npm", "run", "--silent", "e2e", "--", test)
	cmd.Dir = app
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, `Tests\s+[1-9]\d* passed`, regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(string(out), ""))
}

// TestSystem_PersonSetsTheGatewayUp claims the gateway in Chromium, adds a device and an uplink by form and
// sees both work, after mistakes that the page explains.
func TestSystem_PersonSetsTheGatewayUp(t *testing.T) {
	w, c, b := newWire(t), newCloud(t), newBox(t)
	b.start()
	awaitPort(t, b.admin)
	chromium(t, "journey",
		"FG_URL=http://"+b.admin,
		"FG_SERIAL="+w.gateway, "FG_BAUD=19200", "FG_UNIT=1",
		`FG_POINTS=[{"id":"voltage","table":"input","address":"0","type":"float32","unit":"V"}]`,
		"FG_UPLINK="+c.address)
	log := record(t, c.address, "recorder", "#")
	await(t, "the value stands at the cloud", func() bool {
		for _, m := range log.messages() {
			if strings.HasSuffix(m.topic, "/voltage") && strings.Contains(m.payload, "230.25") {
				return true
			}
		}
		return false
	})
}

// TestSystem_PersonMistypesTheHost adds a Modbus/TCP device with a wrong port first: the page says what to do.
func TestSystem_PersonMistypesTheHost(t *testing.T) {
	c, b := newCloud(t), newBox(t)
	path, err := built()
	require.NoError(t, err)
	meter := launch(t, path, "sim", "meter", "--tcp", "127.0.0.1:0")
	b.start()
	awaitPort(t, b.admin)
	chromium(t, "journey",
		"FG_URL=http://"+b.admin,
		"FG_MODBUS_TCP="+meter.awaitLine("127.0.0.1:"),
		`FG_POINTS=[{"id":"voltage","table":"input","address":"0","type":"float32","unit":"V"}]`,
		"FG_UPLINK="+c.address)
}

// TestSystem_DemoShowsLiveValues runs `fieldgate demo` and looks at its page within 10 s of the banner.
func TestSystem_DemoShowsLiveValues(t *testing.T) {
	path, err := built()
	require.NoError(t, err)
	before, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	demo := launch(t, path, "demo", "--admin", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	page := regexp.MustCompile(`http://[^/\s]+`).FindString(demo.awaitLine("page "))
	login := regexp.MustCompile(`login\s+(\S+) / (\S+)`).FindStringSubmatch(demo.awaitLine("login "))
	require.NotEmpty(t, page)
	require.Len(t, login, 3)
	chromium(t, "demo", "FG_DEMO=1", "FG_URL="+page, "FG_NAME="+login[1], "FG_PASSWORD="+login[2])

	_, _, err = net.SplitHostPort(strings.TrimPrefix(page, "http://"))
	require.NoError(t, err)
	stopping := time.Now()
	demo.stop(syscall.SIGTERM)
	require.Less(t, time.Since(stopping), 10*time.Second)
	after, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.LessOrEqual(t, demoFolders(after), demoFolders(before), "the demo's folder is gone")
}

func demoFolders(entries []os.DirEntry) (n int) {
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "fieldgate-demo-") {
			n++
		}
	}
	return n
}

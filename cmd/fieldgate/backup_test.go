package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackup_GoesAndComesWithTheServiceAndWithoutIt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		serving bool
		words   string
	}{
		{"with the service", true, "restored; the service starts anew with it\n"},
		{"without it", false, "restored; the service takes it when it starts\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			var v *service
			if tt.serving {
				v = s.serve()
			}
			s.done("secret\n", "account", "add", "kept")
			file := filepath.Join(s.dir, "gateway.backup")
			require.Equal(t, file+" written; it holds secrets\n", s.done("", "backup", file))
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			require.NoFileExists(t, file+".part")
			raw, err := os.ReadFile(file)
			require.NoError(t, err)

			s.done("", "account", "add", "later")
			status, _, errs := s.cli(string(raw[:len(raw)/2]), "restore", "-")
			require.Equal(t, statusFailed, status)
			require.Contains(t, errs, "no whole backup of fieldgate")
			require.Contains(t, s.done("", "config", "export"), "later")

			require.Equal(t, tt.words, s.done(string(raw), "restore", "-"))
			require.Eventually(t, func() bool {
				status, out, _ := s.cli("", "config", "export")
				return status == statusDone && strings.Contains(out, "kept") && !strings.Contains(out, "later")
			}, patience, 50*time.Millisecond)
			if tt.serving {
				require.Equal(t, 2, strings.Count(v.text(), "fieldgate starts"), "%s", v.text())
				require.Contains(t, v.text(), "backup restored")
			}
		})
	}
}

// TestBackup_IsRootsFileWhoeverOwnsTheData: without the service the command becomes the owner of the data, who may
// neither read nor write where root keeps its backups.
func TestBackup_IsRootsFileWhoeverOwnsTheData(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give data to somebody else")
	}
	const nobody = 65534
	s := newSite(t)
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} {
		require.NoError(t, os.Chmod(dir, 0o711))
	}
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "data"), 0o700))
	require.NoError(t, os.Chown(filepath.Join(s.dir, "data"), nobody, nobody))
	file := filepath.Join(s.dir, "own", "gateway.backup")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], append(args, "--config", s.host)...)
		cmd.Env = append(os.Environ(), asFieldgate+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	run("backup", file)
	run("restore", file)
	for name, want := range map[string]int{file: 0, filepath.Join(s.dir, "data", "state.db"): nobody, filepath.Join(s.dir, "data", "restore", "state.db"): nobody} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.EqualValues(t, want, info.Sys().(*syscall.Stat_t).Uid, name)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no half a file is left")
}

func TestBackup_WritesToStandardOutput(t *testing.T) {
	s := newSite(t)
	out := s.done("", "backup", "-", "--settings-only")
	require.True(t, strings.HasPrefix(out, "\x1f\x8b"), "it is gzip, and nothing else")
}

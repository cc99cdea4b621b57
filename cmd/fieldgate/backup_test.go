package main

import (
	"os"
	"path/filepath"
	"strings"
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

func TestBackup_WritesToStandardOutput(t *testing.T) {
	s := newSite(t)
	out := s.done("", "backup", "-", "--settings-only")
	require.True(t, strings.HasPrefix(out, "\x1f\x8b"), "it is gzip, and nothing else")
}

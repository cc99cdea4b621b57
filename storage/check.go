package storage

import (
	"fmt"
	"os"
)

// suspectFile, beside the spool, says that damage was found while it was in use:
// the next start saves what can be read into a new file.
func suspectFile(file string) string { return file + ".suspect" }

// suspect notes that the file is damaged: what can be read goes on.
func (s *Spool) suspect(cause error) {
	if s.damaged.Swap(true) {
		return
	}
	s.log.Error("spool is damaged", "err", cause)
	s.alarms.Raise("spool", Damaged, fmt.Sprintf("%s is damaged (%v); what can be read goes on, and the next start moves it into a new file", s.file, cause))
	mark, err := os.OpenFile(suspectFile(s.file), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = mark.Close()
	}
	if err != nil {
		s.log.Debug("damage not noted", "err", err) // the next start may find it by itself
	}
}

// wasSuspect tells whether damage was found when the file was last used.
func (s *Spool) wasSuspect() bool {
	_, err := os.Stat(suspectFile(s.file))
	return err == nil
}

package storage_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
	"fieldgate/storage"
)

func TestState_KeepsDocuments(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.State()
	_, err := s.Get("users", "anna")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.NoError(t, s.Put("users", "anna", []byte("1")))
	require.NoError(t, s.Put("users", "anna", []byte("2")))
	require.NoError(t, s.Put("users", "empty", nil))
	require.NoError(t, s.Put("other", "anna", []byte{0, 255}))
	require.NoError(t, s.Delete("users", "nobody"))
	require.NoError(t, db.Close())

	s = open(t, dir).State()
	list, err := s.List("users")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"anna": []byte("2"), "empty": {}}, list)
	value, err := s.Get("other", "anna")
	require.NoError(t, err)
	require.Equal(t, []byte{0, 255}, value)
	require.NoError(t, s.Delete("other", "anna"))
	list, err = s.List("other")
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestState_UpdateIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir()).State()
	require.NoError(t, s.Put("b", "k", []byte("old")))
	refuse := errors.New("refused")
	err := s.Update(func(tx *storage.Tx) error {
		require.NoError(t, tx.Put("b", "k", []byte("new")))
		_, err := tx.AddRevision("anna", "change", nil)
		require.NoError(t, err)
		value, err := tx.Get("b", "k")
		require.NoError(t, err)
		require.Equal(t, "new", string(value))
		return refuse
	})
	require.ErrorIs(t, err, refuse)
	require.Panics(t, func() {
		_ = s.Update(func(tx *storage.Tx) error {
			require.NoError(t, tx.Delete("b", "k"))
			panic("mistake")
		})
	})
	value, err := s.Get("b", "k")
	require.NoError(t, err)
	require.Equal(t, "old", string(value))
	list, err := s.Revisions(10)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestState_KeepsAThousandRevisions(t *testing.T) {
	s := open(t, t.TempDir()).State()
	require.NoError(t, s.Update(func(tx *storage.Tx) error {
		for i := 1; i <= 1005; i++ {
			n, err := tx.AddRevision("anna", fmt.Sprint("change ", i), fmt.Append(nil, "doc ", i))
			require.NoError(t, err)
			require.EqualValues(t, i, n)
		}
		return nil
	}))
	list, err := s.Revisions(2000)
	require.NoError(t, err)
	require.Len(t, list, 1000)
	require.EqualValues(t, 1005, list[0].Number)
	require.EqualValues(t, 6, list[999].Number)
	require.Equal(t, "change 1005", list[0].Summary)
	require.Equal(t, "anna", list[0].Author)
	require.WithinDuration(t, time.Now(), list[0].Time, time.Minute)
	doc, err := s.Revision(6)
	require.NoError(t, err)
	require.Equal(t, "doc 6", string(doc))
	_, err = s.Revision(5)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestState_ManyAtTheSameTime(t *testing.T) {
	s := open(t, t.TempDir()).State()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 20 {
				if err := s.Put("b", fmt.Sprint(i, "-", n), []byte{1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	list, err := s.List("b")
	require.NoError(t, err)
	require.Len(t, list, 160)
}

package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/apron-run/apron/internal/store"
)

var ownerTests = map[string]func(*testing.T, store.Store){
	"a database is that of the first who comes, until another takes it from him": func(t *testing.T, db store.Store) {
		first, moved, second := store.Owner{ID: "1", Host: "a"}, store.Owner{ID: "1", Host: "b"}, store.Owner{ID: "2", Host: "c"}
		for i, step := range []struct {
			owner store.Owner
			from  string
			want  store.Owner
		}{
			{first, "", first},
			{first, "", first},
			{second, "", first},
			{second, "3", first},
			{moved, "", moved}, // a machine may get another name
			{second, "1", second},
			{second, "1", second},
			{moved, "", second},
			{moved, "1", second},
		} {
			got, err := db.Own(t.Context(), step.owner, step.from)
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, fmt.Sprintf("owner after step %d", i), got, step.want)
		}
	},
	"of 16 who come first at the same time one has the database": func(t *testing.T, db store.Store) {
		wins := race(16, func(n int) error {
			owner := store.Owner{ID: fmt.Sprint(n), Host: "host"}
			got, err := db.Own(t.Context(), owner, "")
			if err == nil && got != owner {
				err = errNotMine
			}
			return err
		}, func(err error) {
			if !errors.Is(err, errNotMine) {
				t.Error(err)
			}
		})
		if wins != 1 {
			t.Errorf("%d have it", wins)
		}
	},
}

var errNotMine = fmt.Errorf("the database is another's")

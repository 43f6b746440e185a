package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// writer writes for all of this process. Works that wait for it at the same time share a transaction, because the flush
// to the disk at its end takes longer than all that they do: a disk that flushes a thousand times in a second takes many
// thousand writes. Each work is a savepoint in the transaction, so that one that fails leaves nothing, and each has its
// outcome only when all of them are on the disk.
type writer struct {
	database Database

	mu sync.Mutex // guards what follows
	// isBusy says that somebody leads: runs the works that waited first, their own at the head.
	isBusy  bool
	waiting []*writing
}

// maxTogether bounds the works of one transaction, and so how long the first of them waits for the last.
const maxTogether = 64

// writing is a work that somebody waits for.
type writing struct {
	ctx  context.Context
	work func(tx *transaction) error
	// turn says once whether the one who waits is to lead (true), or that there is an outcome.
	turn     chan bool
	isLeader bool // guarded by the writer's mu

	err error
	// panicked is what the work panicked with, for the one who asked for it.
	panicked any
}

// write runs one work. What it returns comes back as it is, driver errors as the sentinels that the database knows them by. A work that has
// not begun when ctx ends does not begin; one that has begun goes on to its end.
func (w *writer) write(ctx context.Context, work func(tx *transaction) error) error {
	one := &writing{ctx: ctx, work: work, turn: make(chan bool, 1)}
	w.mu.Lock()
	w.waiting = append(w.waiting, one)
	if !w.isBusy {
		w.isBusy, one.isLeader = true, true
		one.turn <- true
	}
	w.mu.Unlock()
	var isLeader bool
	select {
	case isLeader = <-one.turn:
	case <-ctx.Done():
		if w.leave(one) {
			return ctx.Err()
		}
		isLeader = <-one.turn // a work that runs is over in a moment
	}
	if isLeader {
		w.lead()
	}
	if one.panicked != nil {
		panic(one.panicked)
	}
	return one.err
}

// leave takes a work back that has not begun.
func (w *writer) leave(one *writing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, one)
	if i < 0 || one.isLeader {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return true
}

// lead runs the works that wait, the caller's at their head, and lets the first of those that came meanwhile lead next.
func (w *writer) lead() {
	w.mu.Lock()
	count := min(len(w.waiting), maxTogether)
	works := slices.Clone(w.waiting[:count])
	w.waiting = slices.Delete(w.waiting, 0, count)
	w.mu.Unlock()
	if err := w.run(works); err != nil {
		for _, one := range works {
			one.err = w.interpret(err)
		}
	}
	w.mu.Lock()
	w.isBusy = len(w.waiting) > 0
	if w.isBusy {
		w.waiting[0].isLeader = true
		w.waiting[0].turn <- true
	}
	w.mu.Unlock()
	for _, one := range works[1:] {
		one.turn <- false
	}
}

// run runs works in one transaction. Its error is that of the transaction, of which then nothing is left.
func (w *writer) run(works []*writing) error {
	// That one caller leaves does not end what the others wait for.
	ctx := context.WithoutCancel(works[0].ctx)
	if w.database.WriteTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.database.WriteTimeout)
		defer cancel()
	}
	tx, err := w.database.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	for _, one := range works {
		if one.err = one.ctx.Err(); one.err != nil {
			continue
		}
		if err := w.runOne(ctx, tx, one); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// runOne runs a work in a savepoint. Its error says that the transaction is lost, as after a failure of the disk, which
// ends transactions by itself.
func (w *writer) runOne(ctx context.Context, tx *sql.Tx, one *writing) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT work"); err != nil {
		return err
	}
	one.call(&transaction{ctx, tx})
	if one.err != nil || one.panicked != nil {
		one.err = w.interpret(one.err)
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO work"); err != nil {
			// What one has failed with is no error of the others, so it is told and not wrapped.
			return fmt.Errorf("undo a part of a transaction: %w; it had failed: %v", err, one.err) //nolint:errorlint // see above
		}
	}
	_, err := tx.ExecContext(ctx, "RELEASE work")
	return err
}

// call keeps a panic for the one who asked for the work, who may be another than the one who runs it.
func (one *writing) call(tx *transaction) {
	defer func() {
		if cause := recover(); cause != nil {
			one.panicked = fmt.Sprintf("%v\n%s", cause, debug.Stack())
		}
	}()
	one.err = one.work(tx)
}

// transaction is what a work writes with. Its statements end with the context of the transaction and not with that of the
// one who asked: the database would end the transaction with them, and so what others have written in it.
type transaction struct {
	ctx context.Context
	tx  *sql.Tx
}

func (t *transaction) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(t.ctx, query, args...)
}

func (t *transaction) QueryContext(_ context.Context, query string, args ...any) (Rows, error) {
	return t.tx.QueryContext(t.ctx, query, args...) //nolint:rowserrcheck // the caller checks it
}

func (t *transaction) QueryRowContext(_ context.Context, query string, args ...any) Row {
	return t.tx.QueryRowContext(t.ctx, query, args...)
}

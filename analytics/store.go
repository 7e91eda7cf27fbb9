//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// store is one open database file that follows the catalogue.
type store struct {
	path string
	db   *sql.DB
	// spaces are the layouts by space name; replaced, never changed.
	spaces   map[string]*layout
	sequence uint64
	// whole is the sequence from which on the file lacks nothing: it was behind what
	// the catalogue retains.
	whole uint64
}

// seen is the sequence up to which the file has seen everything; 0 while it lacks what
// was compacted before it came to it.
func (s *store) seen() uint64 {
	if s.sequence < s.whole {
		return 0
	}
	return s.sequence
}

// errDamaged is why a file is built again.
var errDamaged = errors.New("the file is damaged, or of another format or cluster")

// openStore opens the file, or makes it. A file that does not open, or is of
// another format or cluster, is made anew: nothing is true there alone.
func openStore(ctx context.Context, path, settings, cluster string) (s *store, fresh error, err error) {
	// DuckDB may take the whole process down on a damaged file. The marker
	// outlives that, and the next start does not trust the file again.
	marker := path + ".opening"
	if _, err := os.Stat(marker); err == nil {
		fresh = fmt.Errorf("an earlier opening did not end: %w", errDamaged)
		if err := removeFile(path); err != nil {
			return nil, fresh, err
		}
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return nil, fresh, fmt.Errorf("open: %w", err)
	}
	s, err = tryOpen(ctx, path, settings, cluster)
	if err != nil && ctx.Err() == nil {
		fresh = err
		if err := removeFile(path); err != nil {
			return nil, fresh, err
		}
		s, err = tryOpen(ctx, path, settings, cluster)
	}
	if err != nil {
		return nil, fresh, fmt.Errorf("open %s: %w", path, err)
	}
	return s, fresh, os.Remove(marker)
}

func tryOpen(ctx context.Context, path, settings, cluster string) (*store, error) {
	_, err := os.Stat(path)
	exists := err == nil
	db, err := openDB(path, settings)
	if err != nil {
		return nil, err
	}
	s := &store{path: path, db: db, spaces: map[string]*layout{}}
	if exists {
		err = s.load(ctx, cluster)
	} else {
		err = s.create(ctx, cluster)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// openDB opens a file with settings written as a DSN's query.
func openDB(path, settings string) (*sql.DB, error) {
	connector, err := duckdb.NewConnector(path+"?"+settings, nil)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// removeFile deletes a database and what DuckDB keeps beside it.
func removeFile(path string) error {
	for _, name := range []string{path, path + ".wal", path + ".tmp"} {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	return nil
}

func (s *store) create(ctx context.Context, cluster string) error {
	return s.transact(ctx, func(conn *sql.Conn) error {
		for _, statement := range common {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		_, err := conn.ExecContext(ctx, `INSERT INTO _view VALUES (?, ?, 0, 0)`, format, cluster)
		return err
	})
}

func (s *store) load(ctx context.Context, cluster string) error {
	var gotFormat int
	var gotCluster string
	if err := s.db.QueryRowContext(ctx, `SELECT format, cluster, sequence, whole FROM _view`).Scan(&gotFormat, &gotCluster, &s.sequence, &s.whole); err != nil {
		return err
	}
	if gotFormat != format || gotCluster != cluster {
		return fmt.Errorf("%w: format %d of cluster %q", errDamaged, gotFormat, gotCluster)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT schema, document::VARCHAR FROM spaces ORDER BY sequence`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var schema, document string
		var space loop.Space
		if err := rows.Scan(&schema, &document); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(document), &space); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		l := s.spaces[space.Name]
		if l == nil {
			l = &layout{space: space.Name, schema: schema}
		}
		s.spaces[space.Name] = l.with(&space)
	}
	return rows.Err()
}

// transact runs f in one transaction on one connection. Whatever happens, no
// call is running and no transaction is open when it returns.
func (s *store) transact(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return err
	}
	err = f(conn)
	if err == nil {
		err = ctx.Err()
	}
	// A commit that has begun is not cut short: whether it happened would not be
	// known.
	if err == nil {
		_, err = conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	}
	if err != nil {
		// After a commit that failed there is nothing to roll back.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

// close writes everything into the file and closes it.
func (s *store) close() error {
	_, err := s.db.Exec("CHECKPOINT")
	return errors.Join(err, s.db.Close())
}

// ruinous reports whether an error means that the open instance, or its file,
// cannot be trusted any more.
func ruinous(err error) bool {
	de, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
		return false
	}
	switch de.Type {
	case duckdb.ErrorTypeFatal, duckdb.ErrorTypeInternal, duckdb.ErrorTypeSerialization:
		return true
	default:
		return false
	}
}

// checkDir refuses a directory whose name a DSN would not carry: what follows
// one of these characters would be read as settings, or drop them.
func checkDir(dir string) error {
	if dir == "" || strings.ContainsAny(dir, "?#%\x00") {
		return &loop.Error{Field: "dir", Problem: fmt.Sprintf("%q cannot hold a view", dir),
			Remedy: "name a directory without '?', '#' and '%'"}
	}
	return nil
}

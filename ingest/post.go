package ingest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/loop"
)

// Bounds of what a request says, in bytes.
const (
	maxName = 200
	maxKey  = 255
)

// ownKeys start the keys that ingest assigns; no poster may choose one.
const ownKeys = "hone:"

// readPost reads what all rows of a post share from its query and headers.
func readPost(c huma.Context) (*loop.Post, *api.Problem) {
	wrong := &mistakes{limit: 20}
	query := func(name string) string { return c.Query(name) }
	post := &loop.Post{
		Space: query("space"), Task: query("task"), EvalSet: query("eval_set"), Run: query("run"),
		Key: c.Header("Idempotency-Key"),
	}
	if !loop.ValidName(post.Space) {
		wrong.add("query.space", post.Space, "%s is not a space's name", quote(post.Space))
	}
	line, version, ok := strings.Cut(query("model"), "@")
	if !ok || !loop.ValidName(line) || !validVersion(version) {
		wrong.add("query.model", query("model"), "%s is not a model version (LINE@VERSION, as in detector@7)", quote(query("model")))
	}
	post.ModelLine, post.Version = line, version
	if post.Task != "" && !loop.ValidName(post.Task) {
		wrong.add("query.task", post.Task, "%s is not a task's name", quote(post.Task))
	}
	if post.EvalSet != "" {
		name, version, versioned := strings.Cut(post.EvalSet, "@")
		if !loop.ValidName(name) || versioned && !validVersion(version) {
			wrong.add("query.eval_set", post.EvalSet, "%s is not an eval set (NAME or NAME@VERSION)", quote(post.EvalSet))
		}
	}
	if len(post.Run) > maxName || !printable(post.Run) {
		wrong.add("query.run", post.Run, "a run is named by at most %d bytes of printable text", maxName)
	}
	switch {
	case len(post.Key) > maxKey || !printable(post.Key):
		wrong.add("header.Idempotency-Key", post.Key, "a key has at most %d bytes of printable text", maxKey)
	case strings.HasPrefix(post.Key, ownKeys):
		wrong.add("header.Idempotency-Key", post.Key, "keys that start with %q are the server's own", ownKeys)
	}
	u := c.URL()
	for name := range u.Query() {
		switch name {
		case "space", "model", "task", "eval_set", "run":
		default:
			wrong.add("query."+shortName(name), nil, "there is no such parameter%s", suggest(name, []string{"space", "model", "task", "eval_set", "run"}))
		}
	}
	if p := wrong.problem(); p != nil {
		p.Status, p.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
		return nil, p
	}
	return post, nil
}

// validVersion: a model's version may start with a digit, as names may not.
func validVersion(s string) bool { return loop.ValidName("v"+s) && s != "" && len(s) < 63 }

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return true
}

// assignKey gives a post without a key one (C22): with a run, one that follows
// from the body, so that an equal post of the same run is a duplicate; else a
// fresh one, which only our own resends repeat. It reports whether nobody else
// can have the key.
func assignKey(p *loop.Post) (fresh bool) {
	if p.Key != "" {
		return false
	}
	if p.Run != "" {
		h := sha256.New()
		for _, s := range []string{p.Task, p.EvalSet, string(p.Body[:])} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
		p.Key = ownKeys + "body:" + hex.EncodeToString(h.Sum(nil))
		return false
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	p.Key = ownKeys + "post:" + hex.EncodeToString(b[:])
	return true
}

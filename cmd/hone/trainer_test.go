package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
)

// The training job of these tests learns nothing: whether it "was right" about a
// sample follows from the sample's bytes, so that the evidence is the same in
// every run. It is a process, it may be killed at any moment, and what it is
// killed in the middle of it sends again, under the same keys. What was
// acknowledged it writes down.

// trainingJobEnv makes the test binary a training job; its value is a
// trainingJob in JSON.
const trainingJobEnv = "HONE_TEST_TRAINING_JOB"

type trainingJob struct {
	Server, Campaign, Ledger string
	Rounds                   int
	// Field has it post rows of a model that no campaign learns from as well, one
	// small post after another, until the campaign is done.
	Field bool
	Every time.Duration
}

// receipt is a line of the ledger: a post that was acknowledged, and its rows.
type receipt struct {
	Line, Version, EvalSet, Run, Key string
	Rows                             []postedRow
	Duplicate                        bool
	Number                           int // of a field post
}

// postedRow is an outcome as it was sent. Loss is in micro-units.
type postedRow struct {
	Example string
	Sample  string // empty for field rows
	Correct bool
	Loss    int64
}

// trainer adds a training job to the crew, which is not started yet, and returns
// the path of its ledger.
func (c *crew) trainer(name, campaign string, rounds int, field bool) (ledger string) {
	return c.trainerOf(name, trainingJob{Campaign: campaign, Rounds: rounds, Field: field, Every: 15 * time.Millisecond})
}

// trainerOf adds a training job; where it finds the server, and its ledger, is the
// crew's affair.
func (c *crew) trainerOf(name string, job trainingJob) (ledger string) {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	ledger = c.data(name + ".ledger")
	job.Server, job.Ledger = c.server, ledger
	text, err := json.Marshal(job)
	if err != nil {
		c.t.Fatal(err)
	}
	c.commands[name] = func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), trainingJobEnv+"="+string(text))
		return cmd
	}
	return ledger
}

// readLedger reads what was acknowledged. A last line that was cut off by a kill
// is not there.
func readLedger(t *testing.T, path string) []receipt {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := parseLedger(text)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}

func parseLedger(text []byte) (out []receipt, err error) {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var r receipt
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		out = append(out, r)
	}
	return out, nil
}

func trainingJobMain(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var job trainingJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "training job:", err)
		return 1
	}
	return 0
}

func (j *trainingJob) run(ctx context.Context) error {
	// A line that an earlier life did not finish is ended, so as not to spoil the next.
	text, err := os.ReadFile(j.Ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		if err := os.Truncate(j.Ledger, int64(whole)); err != nil {
			return err
		}
	}
	earlier, err := parseLedger(text)
	if err != nil {
		return err
	}
	ledger, err := os.OpenFile(j.Ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer ledger.Close()
	client := api.New(j.Server)
	client.Patience = 2 * time.Minute
	client.Pause = 20 * time.Millisecond
	field := make(chan error, 1)
	fieldCtx, done := context.WithCancel(ctx)
	defer done()
	if j.Field {
		go func() { field <- j.postField(fieldCtx, client, ledger, earlier) }()
	}
	for n := 1; n <= j.Rounds; n++ {
		if err := j.round(ctx, client, ledger, n); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		fmt.Printf("sealed %d\n", n)
	}
	done()
	if j.Field {
		return <-field
	}
	return nil
}

// postsPer is how many rows a post has: few, so that a round has many posts.
const postsPer = 80

func (j *trainingJob) round(ctx context.Context, client *api.Client, ledger *os.File, n int) error {
	round, err := j.published(ctx, client, n)
	if err != nil {
		return err
	}
	fmt.Printf("published %d\n", n)
	set, version, _ := strings.Cut(round.EvalDataset, "@")
	number, err := strconv.Atoi(version)
	if err != nil {
		return err
	}
	var digests []loop.Digest
	var rows []postedRow
	for row, err := range client.Manifest(ctx, set, number) {
		if err != nil {
			return err
		}
		digests = append(digests, row.Digest)
		rows = append(rows, postedRow{Sample: row.Digest.String(), Example: fmt.Sprintf("c%d-i%d", row.Component, row.Index)})
	}
	i := 0
	for sample, err := range client.Samples(ctx, digests) {
		if err != nil {
			return err
		}
		class, err := shapes.ReadLabel(sample.Member(shapes.LabelMember))
		if err != nil {
			return err
		}
		rows[i].Correct, rows[i].Loss = judge(sample.Digest, shapes.Classes[class])
		i++
	}
	line, model := j.Campaign, strconv.Itoa(n)
	total := int64(len(rows))
	for k := 0; len(rows) > 0; k++ {
		some := min(postsPer, len(rows))
		r := receipt{Line: line, Version: model, EvalSet: round.EvalDataset, Run: "job",
			Key: fmt.Sprintf("%s@%s/%d", line, model, k), Rows: rows[:some]}
		if err := post(ctx, client, ledger, r); err != nil {
			return err
		}
		fmt.Printf("posted %d.%d\n", n, k)
		rows = rows[some:]
	}
	fmt.Printf("seals %d\n", n)
	_, err = client.SealModel(ctx, line, model, total)
	return err
}

// judge decides by the bytes of a sample alone whether the model "was right":
// bars it mostly gets wrong, so that there is something to boost.
func judge(digest loop.Digest, class string) (correct bool, loss int64) {
	u := binary.BigEndian.Uint32(digest[:4])
	wrong := uint32(1 << 32 / 12)
	if class == "bar" {
		wrong = 1 << 32 / 10 * 7
	}
	return u >= wrong, int64(u >> 12)
}

func (j *trainingJob) published(ctx context.Context, client *api.Client, n int) (api.Round, error) {
	for {
		round, err := client.Round(ctx, j.Campaign, n, 30*time.Second)
		if err == nil && round.State == api.RoundPublished {
			return round, nil
		}
		if p, ok := errors.AsType[*api.Problem](err); err != nil && (!ok || p.Status != http.StatusNotFound) {
			return round, err
		}
		if ctx.Err() != nil {
			return round, ctx.Err()
		}
	}
}

// post sends a post and writes down that it was acknowledged.
func post(ctx context.Context, client *api.Client, ledger *os.File, r receipt) error {
	var body bytes.Buffer
	out := bufio.NewWriter(&body)
	for _, row := range r.Rows {
		if row.Sample != "" {
			fmt.Fprintf(out, `{"sample":%q,"example":%q,"correct":%t,"loss":%s}`+"\n", row.Sample, row.Example, row.Correct, decimal(row.Loss))
		} else {
			fmt.Fprintf(out, `{"example":%q,"scenario":{"light":"low"},"correct":%t,"loss":%s,"origin":"real"}`+"\n", row.Example, row.Correct, decimal(row.Loss))
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	posted, err := client.PostOutcomes(ctx, api.OutcomesOptions{Space: "shapes", Model: r.Line + "@" + r.Version,
		EvalSet: r.EvalSet, Run: r.Run, Key: r.Key}, bytes.NewReader(body.Bytes()))
	if err != nil {
		return err
	}
	if posted.DuplicateOf == 0 && posted.Accepted != int64(len(r.Rows)) {
		return fmt.Errorf("%d rows accepted of %d, and not a duplicate", posted.Accepted, len(r.Rows))
	}
	r.Duplicate = posted.DuplicateOf != 0
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = ledger.Write(append(text, '\n'))
	return err
}

func decimal(micro int64) string {
	return strconv.FormatFloat(float64(micro)/loop.MicroUnits, 'f', 6, 64)
}

// fieldLine is the model line of the field posts.
const fieldLine = "field"

// postField posts a few rows, again and again, each post under a key of its own,
// going on where an earlier life stopped: with the first post of which it has no
// receipt.
func (j *trainingJob) postField(ctx context.Context, client *api.Client, ledger *os.File, earlier []receipt) error {
	first := 0
	for _, r := range earlier {
		if r.Line == fieldLine {
			first = max(first, r.Number+1)
		}
	}
	tick := time.NewTicker(j.Every)
	defer tick.Stop()
	for n := first; ; n++ {
		r := receipt{Line: fieldLine, Version: "1", EvalSet: "street@1", Key: fmt.Sprintf("%s-field-%d", j.Campaign, n), Number: n}
		for k := range 3 {
			r.Rows = append(r.Rows, postedRow{Example: fmt.Sprintf("x-%s-%d-%d", j.Campaign, n, k), Correct: (n+k)%2 == 0, Loss: int64(n)})
		}
		if err := post(ctx, client, ledger, r); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// byKey orders receipts and drops the later ones of the same post.
func byKey(receipts []receipt) map[string]receipt {
	out := map[string]receipt{}
	for _, r := range receipts {
		key := strings.Join([]string{r.Line, r.Version, r.Run, r.Key}, "|")
		if _, twice := out[key]; !twice {
			out[key] = r
		}
	}
	return out
}

func (r *receipt) same(other []postedRow) bool { return slices.Equal(r.Rows, other) }

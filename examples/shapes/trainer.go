package shapes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hone/api"
	"hone/loop"
)

// Task is the task of the training job's outcomes.
const Task = "classify"

// TrainerOptions configure a training job. Client, Campaign and ModelLine are
// required.
type TrainerOptions struct {
	Client *api.Client
	// Campaign is what the job trains on: it reads CAMPAIGN@N and CAMPAIGN.eval@N
	// as they are published.
	Campaign string
	// ModelLine is what it posts outcomes as: MODEL-LINE@N is the model trained on
	// rounds 1 to N.
	ModelLine string
	// Exam is a campaign whose first evaluation version is judged after every
	// round too: component 0 is of the target distribution, each other one of a
	// slice. Its outcomes are posted under EXAM.eval@1, so that a campaign which
	// learns from CAMPAIGN.eval never sees them. Empty: no exam, no scores.
	Exam string
	// Rounds is how many rounds to train for. Default: the campaign's.
	Rounds int
	// Seed decides the learner's initial weights and its order of training.
	Seed uint64
	// Learner configures the learner; its Seed is the one above.
	Learner LearnerOptions
	// Wait is how long one wait for a round lasts before the campaign is asked
	// whether that round can still come. Default 30 s.
	Wait time.Duration
	// Progress is told of every phase of every round as it begins, by the
	// goroutine that runs RunTrainer. It may be nil.
	Progress func(Progress)
}

// Phase is what a training job is doing.
type Phase string

// The phases of a round, in order. Done comes when the version is sealed.
const (
	PhaseWait     Phase = "wait"
	PhaseFetch    Phase = "fetch"
	PhaseTrain    Phase = "train"
	PhaseEvaluate Phase = "evaluate"
	PhasePost     Phase = "post"
	PhaseDone     Phase = "done"
)

// Progress is where a training job stands.
type Progress struct {
	Campaign string
	Round    int
	Phase    Phase
	// Samples is how many training samples the learner has.
	Samples int
	// Evaluated and Failures count the round's own evaluation rows, once there
	// are any.
	Evaluated, Failures int
	// Score is that of the exam; nil before PhasePost, and without an exam.
	Score *Score
}

// RunTrainer trains round after round until the last is sealed, and returns the
// exam's score after each. It speaks to the server through its public API and
// knows nothing else of the campaign.
//
// It may be run again after it was cut off: it trains the same models anew from
// the first round, resends outcomes under the same keys, which count once
// (C22), and leaves sealed versions as they are. It returns when ctx ends, with
// its error.
func RunTrainer(ctx context.Context, o TrainerOptions) ([]Score, error) {
	o.Learner.Seed = o.Seed
	if o.Wait == 0 {
		o.Wait = 30 * time.Second
	}
	t := &trainer{TrainerOptions: o, learner: NewLearner(o.Learner), known: map[position]bool{}, sealed: map[string]bool{}}
	scores, err := t.run(ctx)
	if err != nil {
		return scores, fmt.Errorf("train %s: %w", o.Campaign, err)
	}
	return scores, nil
}

type trainer struct {
	TrainerOptions
	space   string
	learner *Learner
	known   map[position]bool
	sealed  map[string]bool
	exam    *examSet
	at      Progress
}

// position is a sample's place in a dataset. An index that was reopened comes
// back with another attempt, and is another sample.
type position struct {
	round, component int
	index            uint64
	attempt          int
}

// examSet is an exam and the digests of its samples, in order.
type examSet struct {
	Exam
	evalSet string
	rows    []api.ManifestRow
}

func (t *trainer) run(ctx context.Context) ([]Score, error) {
	campaign, err := t.Client.Campaign(ctx, t.Campaign)
	if err != nil {
		return nil, err
	}
	t.space, _, _ = strings.Cut(campaign.Space, "@")
	if t.Rounds == 0 {
		t.Rounds = campaign.Rounds
	}
	models, err := t.Client.Models(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		if m.ModelLine == t.ModelLine && m.Sealed {
			t.sealed[m.Version] = true
		}
	}
	var scores []Score
	for n := 1; n <= t.Rounds; n++ {
		score, err := t.round(ctx, n)
		if err != nil {
			return scores, fmt.Errorf("round %d: %w", n, err)
		}
		if score != nil {
			scores = append(scores, *score)
		}
	}
	return scores, nil
}

// round trains, evaluates, posts and seals version n of the model line.
func (t *trainer) round(ctx context.Context, n int) (*Score, error) {
	t.at = Progress{Campaign: t.Campaign, Round: n, Samples: t.learner.Len()}
	t.tell(PhaseWait)
	round, err := t.published(ctx, t.Campaign, n)
	if err != nil {
		return nil, err
	}
	t.tell(PhaseFetch)
	if err := t.fetch(ctx, round.Dataset); err != nil {
		return nil, err
	}
	t.at.Samples = t.learner.Len()
	t.tell(PhaseTrain)
	if err := t.learner.Train(ctx); err != nil {
		return nil, err
	}
	t.tell(PhaseEvaluate)
	var posts []outcomes
	if round.EvalDataset != "" {
		judged, err := t.evaluate(ctx, round.EvalDataset)
		if err != nil {
			return nil, err
		}
		t.at.Evaluated = len(judged.judgements)
		for _, j := range judged.judgements {
			if !j.Correct {
				t.at.Failures++
			}
		}
		posts = append(posts, judged)
	}
	if t.Exam != "" {
		judged, score, err := t.examine(ctx)
		if err != nil {
			return nil, fmt.Errorf("exam: %w", err)
		}
		t.at.Score = score
		posts = append(posts, judged)
	}
	t.tell(PhasePost)
	if err := t.post(ctx, strconv.Itoa(n), posts); err != nil {
		return nil, err
	}
	t.tell(PhaseDone)
	return t.at.Score, nil
}

func (t *trainer) tell(phase Phase) {
	t.at.Phase = phase
	if t.Progress != nil {
		t.Progress(t.at)
	}
}

// published waits until a round is published.
func (t *trainer) published(ctx context.Context, campaign string, n int) (api.Round, error) {
	for {
		round, err := t.Client.Round(ctx, campaign, n, t.Wait)
		if err == nil && round.State == api.RoundPublished {
			return round, nil
		}
		if problem, ok := errors.AsType[*api.Problem](err); err != nil && !(ok && problem.Status == http.StatusNotFound) {
			return api.Round{}, err
		}
		if err := ctx.Err(); err != nil {
			return api.Round{}, err
		}
		c, err := t.Client.Campaign(ctx, campaign)
		if err != nil {
			return api.Round{}, err
		}
		if c.State == api.CampaignClosed || (c.Round < n && (c.State == api.CampaignDone || c.State == api.CampaignDoneShort)) {
			return api.Round{}, fmt.Errorf("campaign %s is %s after round %d", campaign, c.State, c.Round)
		}
	}
}

// fetch adds the samples of a dataset version that the learner does not have
// yet, in manifest order.
func (t *trainer) fetch(ctx context.Context, dataset string) error {
	rows, err := t.manifest(ctx, dataset)
	if err != nil {
		return err
	}
	fresh := rows[:0]
	for _, row := range rows {
		if at := (position{row.Round, row.Component, row.Index, row.Attempt}); !t.known[at] {
			t.known[at] = true
			fresh = append(fresh, row)
		}
	}
	return t.samples(ctx, fresh, func(i int, picture *Picture, class int) {
		t.learner.Add(picture, class, fresh[i].Weight)
	})
}

func (t *trainer) manifest(ctx context.Context, dataset string) ([]api.ManifestRow, error) {
	name, digits, _ := strings.Cut(dataset, "@")
	version, err := strconv.Atoi(digits)
	if err != nil {
		return nil, fmt.Errorf("dataset %q is not NAME@VERSION", dataset)
	}
	var rows []api.ManifestRow
	for row, err := range t.Client.Manifest(ctx, name, version) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// samples reads the pictures of manifest rows, in order.
func (t *trainer) samples(ctx context.Context, rows []api.ManifestRow, each func(i int, picture *Picture, class int)) error {
	digests := make([]loop.Digest, len(rows))
	for i, row := range rows {
		digests[i] = row.Digest
	}
	i := 0
	for sample, err := range t.Client.Samples(ctx, digests) {
		if err != nil {
			return err
		}
		picture, err := ReadPNG(sample.Member(ImageMember))
		if err != nil {
			return fmt.Errorf("sample %s: %w", sample.Digest, err)
		}
		class, err := ReadLabel(sample.Member(LabelMember))
		if err != nil {
			return fmt.Errorf("sample %s: %w", sample.Digest, err)
		}
		each(i, picture, class)
		i++
	}
	return nil
}

// evaluate judges an evaluation version.
func (t *trainer) evaluate(ctx context.Context, dataset string) (outcomes, error) {
	rows, err := t.manifest(ctx, dataset)
	if err != nil {
		return outcomes{}, err
	}
	pictures, classes := make([]Picture, 0, len(rows)), make([]uint8, 0, len(rows))
	err = t.samples(ctx, rows, func(_ int, picture *Picture, class int) {
		pictures, classes = append(pictures, *picture), append(classes, uint8(class))
	})
	if err != nil {
		return outcomes{}, err
	}
	return outcomes{evalSet: dataset, rows: rows, judgements: t.learner.Evaluate(pictures, classes)}, nil
}

// examine judges the exam, which it fetches once.
func (t *trainer) examine(ctx context.Context) (outcomes, *Score, error) {
	if t.exam == nil {
		round, err := t.published(ctx, t.Exam, 1)
		if err != nil {
			return outcomes{}, nil, err
		}
		exam := &examSet{evalSet: round.EvalDataset}
		if exam.rows, err = t.manifest(ctx, exam.evalSet); err != nil {
			return outcomes{}, nil, err
		}
		err = t.samples(ctx, exam.rows, func(i int, picture *Picture, class int) {
			exam.Add(exam.rows[i].Component, picture, class)
		})
		if err != nil {
			return outcomes{}, nil, err
		}
		t.exam = exam
	}
	judgements, score := t.exam.Take(t.learner)
	return outcomes{evalSet: t.exam.evalSet, rows: t.exam.rows, judgements: judgements}, &score, nil
}

// post posts outcomes and seals the version.
func (t *trainer) post(ctx context.Context, version string, posts []outcomes) error {
	if t.sealed[version] {
		return nil
	}
	total := int64(0)
	for _, p := range posts {
		body, err := p.arrow()
		if err != nil {
			return err
		}
		total += int64(len(p.rows))
		_, err = t.Client.PostOutcomes(ctx, api.OutcomesOptions{
			Space: t.space, Model: t.ModelLine + "@" + version, Task: Task, EvalSet: p.evalSet,
			Run: t.Campaign, Key: t.ModelLine + "@" + version + "/" + p.evalSet, ContentType: api.Arrow,
		}, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("post outcomes on %s: %w", p.evalSet, err)
		}
	}
	if _, err := t.Client.SealModel(ctx, t.ModelLine, version, total); err != nil {
		return fmt.Errorf("seal %s@%s: %w", t.ModelLine, version, err)
	}
	t.sealed[version] = true
	return nil
}

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/loop"
)

// Path is where outcomes are posted.
const Path = "/v1/outcomes"

// Register adds POST /v1/outcomes to a server and its OpenAPI. The body is read
// as a stream, which huma's typed operations cannot do, so the operation is
// described by hand and served through the adapter.
func (in *Ingest) Register(server huma.API) {
	schemas := server.OpenAPI().Components.Schemas
	parameter := func(name, description, example string, required bool) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: description, Example: example, Required: required,
			Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(maxName)}}
	}
	row := huma.SchemaFromType(schemas, reflect.TypeFor[api.OutcomeRow]())
	row.AdditionalProperties = &huma.Schema{Type: huma.TypeNumber, Nullable: true, Description: "A metric of the post's task"}
	op := &huma.Operation{
		OperationID: "post-outcomes",
		Method:      http.MethodPost,
		Path:        Path,
		Summary:     "Post outcomes",
		Description: "Counts how a model version did, row by row, and answers when the rows are durable. A post counts whole or not at all. " +
			"A post that was answered 503, or not at all, is sent again with the same Idempotency-Key: it counts once. " +
			"A key is remembered for at least the next million posts. " +
			"Where the eval set is an imported dataset's version, a row's example is one of its, and what it shows is filled in. " +
			"In a space that declares tasks a row may also have each metric of the post's task, a number or null; where a metric with a " +
			"threshold is given, correct may be left out: it is then whether none of them fails. " +
			"An Arrow stream has the columns of a row, and one per factor in place of scenario; it is not compressed.",
		Tags: []string{"Outcomes"},
		Parameters: []*huma.Param{
			parameter("space", "The space whose factors the rows name", "shapes", true),
			parameter("model", "The model version, LINE@VERSION", "detector@7", true),
			parameter("task", "What the model was asked; needed where the space declares several tasks", "detect", false),
			parameter("eval_set", "What the rows were drawn from, NAME or NAME@VERSION", "field@3", false),
			parameter("run", "The training or evaluation job. With it, and without a key, an equal body is a duplicate", "job-5512", false),
			{Name: "Idempotency-Key", In: "header", Description: "The same key with the same body counts once, however often it is sent; with another body it is refused. " +
				"Keys are kept per space, model and run", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(maxKey)}},
		},
		RequestBody: &huma.RequestBody{
			Required:    true,
			Description: "One row per line, or a column per member. At most " + strconv.FormatInt(in.MaxBody, 10) + " bytes and " + strconv.Itoa(in.MaxRows) + " rows.",
			Content: map[string]*huma.MediaType{
				api.NDJSON: {Schema: row, Example: `{"example":"a17","group":"clip3","scenario":{"light":"low","pose":null},"correct":false,"loss":1.2,"origin":"real","uri":"s3://field/3/a17.png"}`},
				api.Arrow:  {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			},
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "The rows count, or counted before", Content: map[string]*huma.MediaType{
				"application/json": {Schema: schemas.Schema(reflect.TypeFor[api.Posted](), true, "Posted")},
			}},
		},
	}
	problem := schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem")
	for _, status := range []int{400, 404, 409, 413, 415, 422, 503} {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{api.ProblemType: {Schema: problem}}}
	}
	server.OpenAPI().AddOperation(op)
	server.Adapter().Handle(op, server.Middlewares().Handler(in.serve))
}

// serve answers one post.
func (in *Ingest) serve(c huma.Context) {
	posted, err := in.post(c)
	if err == nil {
		c.SetHeader("Content-Type", "application/json")
		c.SetStatus(http.StatusOK)
		json.NewEncoder(c.BodyWriter()).Encode(posted) //nolint:errchkjson // to a poster who may be gone
		return
	}
	problem := api.ProblemFrom(err)
	if problem.Status >= 500 {
		in.Logger.Warn("outcomes not taken", "space", c.Query("space"), "model", c.Query("model"), "error", err)
	}
	if problem.Status == http.StatusServiceUnavailable {
		c.SetHeader("Retry-After", "1")
	}
	c.SetHeader("Content-Type", api.ProblemType)
	c.SetStatus(problem.Status)
	json.NewEncoder(c.BodyWriter()).Encode(problem) //nolint:errchkjson // to a poster who may be gone
}

// post takes one post from its request to its receipt.
func (in *Ingest) post(c huma.Context) (*api.Posted, error) {
	ctx := c.Context()
	post, problem := readPost(c)
	if problem != nil {
		return nil, problem
	}
	decode, problem := decoder(c)
	if problem != nil {
		return nil, problem
	}
	if n, err := strconv.ParseInt(c.Header("Content-Length"), 10, 64); err == nil && n > in.MaxBody {
		return nil, in.tooLarge()
	}
	space, err := in.Spaces.Space(ctx, post.Space)
	if err != nil {
		return nil, err
	}
	task, problem := taskOf(space, post.Task)
	if problem != nil {
		return nil, problem
	}
	if task != nil {
		post.Task = task.Name
	}
	body := in.meter.open(c.BodyReader(), in.MaxBody)
	defer body.close()
	rows, err := in.read(ctx, space, task, post.EvalSet, body, decode)
	if err != nil {
		return nil, err
	}
	p := &pending{rows: loop.PostRows{Post: *post, Rows: rows}, answer: make(chan answer, 1)}
	p.rows.Post.Body = body.digest()
	p.assigned = assignKey(&p.rows.Post)
	receipt, err := in.committer.submit(ctx, space, p)
	if err == nil {
		err = receipt.Err
	}
	if errors.Is(err, loop.ErrUnavailable) {
		return nil, unknown(c.Header("Idempotency-Key"), post.Run)
	}
	if err != nil {
		return nil, err
	}
	if receipt.DuplicateOf != 0 {
		return &api.Posted{DuplicateOf: receipt.DuplicateOf}, nil
	}
	return &api.Posted{Accepted: receipt.Accepted, Sequence: receipt.Sequence}, nil
}

// read decodes, validates and resolves a body. Its refusals are *api.Problem.
func (in *Ingest) read(ctx context.Context, space *loop.Space, task *loop.Task, evalSet string, r *body, decode decodeFunc) ([]loop.Outcome, error) {
	wrong := &mistakes{limit: in.MaxMistakes}
	b := newBuilder(space, task, wrong, in.MaxRows)
	err := decode(r, b)
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		err = r.err // whatever the decoder made of it
	}
	if m, ok := errors.AsType[*malformed](err); ok {
		wrong.malformed = true
		wrong.limit = max(wrong.limit, len(wrong.list)+1) // this one is the reason for the status
		wrong.add(m.location, nil, "%s", m.message)
		return nil, wrong.problem()
	}
	switch {
	case errors.Is(err, errTooLarge):
		return nil, in.tooLarge()
	case errors.Is(err, errTooManyRows):
		return nil, api.NewProblem(http.StatusRequestEntityTooLarge,
			"a post has at most "+strconv.Itoa(in.MaxRows)+" rows; nothing of it was counted: send it in parts, each with a key of its own")
	case errors.Is(err, errBusy):
		return nil, api.NewProblem(http.StatusServiceUnavailable, "too much is being posted at the moment; nothing was counted: send the post again")
	case err != nil:
		return nil, api.NewProblem(http.StatusBadRequest, "the body breaks off: "+err.Error())
	}
	if p := wrong.problem(); p != nil {
		return nil, p
	}
	if len(b.outcomes) == 0 {
		return nil, api.NewProblem(http.StatusUnprocessableEntity, "the post is empty: it has no row",
			api.Mistake{Location: "body", Message: "no row (send one line per evaluated thing)"})
	}
	if err := in.resolve(ctx, b, evalSet); err != nil {
		return nil, err
	}
	return b.outcomes, nil
}

func (in *Ingest) tooLarge() *api.Problem {
	return api.NewProblem(http.StatusRequestEntityTooLarge,
		"a post has at most "+strconv.FormatInt(in.MaxBody, 10)+" bytes; nothing of it was counted: send it in parts, each with a key of its own")
}

// unknown is the answer of which the poster can make the best: to send again,
// and with which key.
func unknown(key, run string) *api.Problem {
	detail := "what became of the post is not known: send it again with the same Idempotency-Key, and it counts once"
	if key == "" && run != "" {
		detail = "what became of the post is not known: send it again, with the same run and body, and it counts once"
	} else if key == "" {
		detail = "what became of the post is not known, and it bore no Idempotency-Key: if it is sent again it may count twice; give every post a key"
	}
	return api.NewProblem(http.StatusServiceUnavailable, detail)
}

type decodeFunc func(io.Reader, *builder) error

// decoder chooses by the content type.
func decoder(c huma.Context) (decodeFunc, *api.Problem) {
	refuse := func(detail string) (decodeFunc, *api.Problem) {
		return nil, api.NewProblem(http.StatusUnsupportedMediaType, detail)
	}
	if e := strings.ToLower(c.Header("Content-Encoding")); e != "" && e != "identity" {
		return refuse("the body is encoded as " + quote(e) + "; send it as it is")
	}
	kind, _, err := mime.ParseMediaType(c.Header("Content-Type"))
	if err != nil {
		kind = c.Header("Content-Type")
	}
	switch kind {
	case api.NDJSON, "application/ndjson", "application/jsonl":
		return decodeNDJSON, nil
	case api.Arrow:
		return decodeArrow, nil
	}
	return refuse("outcomes are posted as " + api.NDJSON + " or " + api.Arrow + ", not as " + quote(kind))
}

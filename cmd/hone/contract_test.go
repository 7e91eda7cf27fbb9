package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hone/api"
	"hone/examples/shapes"
	"hone/gpuworker"
	"hone/loop"
)

// contract is /openapi.json, against which answers are held.
type contract struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	paths    map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct {
				Schema map[string]any `json:"schema"`
			} `json:"content"`
		} `json:"responses"`
	}
	// succeeded and refused are the operations of which such an answer was held.
	succeeded, refused map[string]bool
}

const contractURL = "http://contract/openapi.json"

func newContract(t *testing.T, document []byte) *contract {
	t.Helper()
	c := &contract{t: t, compiler: jsonschema.NewCompiler(), succeeded: map[string]bool{}, refused: map[string]bool{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.compiler.AddResource(contractURL, value); err != nil {
		t.Fatal(err)
	}
	described := struct{ Paths any }{&c.paths}
	if err := json.Unmarshal(document, &described); err != nil {
		t.Fatal(err)
	}
	return c
}

// hold holds one answer against what is described of its operation.
func (c *contract) hold(operation string, status int, contentType string, body []byte) {
	c.t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	code := fmt.Sprint(status)
	kind, _, _ := mime.ParseMediaType(contentType)
	response, ok := c.paths[path][strings.ToLower(method)].Responses[code]
	if !ok {
		c.t.Errorf("%s answers %s, which is not described: %.300s", operation, code, body)
		return
	}
	if status < 400 {
		c.succeeded[operation] = true
	} else {
		c.refused[operation] = true
	}
	if len(response.Content) == 0 && len(body) == 0 {
		return
	}
	content, ok := response.Content[kind]
	if !ok {
		c.t.Errorf("%s answers %s as %q; described are %v", operation, code, contentType, slices.Collect(maps.Keys(response.Content)))
		return
	}
	if !strings.HasSuffix(kind, "json") || content.Schema["type"] == "string" {
		return // bytes, of which the tests of their formats know more
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	at := contractURL + "#/paths/" + escape.Replace(path) + "/" + strings.ToLower(method) + "/responses/" + code + "/content/" + escape.Replace(kind) + "/schema"
	schema, err := c.compiler.Compile(at)
	if err != nil {
		c.t.Fatalf("%s: %v", at, err)
	}
	parts := [][]byte{body}
	if kind == api.NDJSON {
		parts = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, part := range parts {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(part))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			c.t.Errorf("%s answers %s with what its schema does not allow: %v\n%.600s", operation, code, err, part)
		}
	}
}

// photo is an import of one example, a, as it is staged.
type photo struct{ unit, bundle, rows, request string }

func stagedPhoto(t *testing.T) photo {
	t.Helper()
	unit := api.ImportedUnit("photos", loop.Evaluation, 0, 1)
	bundle, digest, err := loop.AppendSample(nil, unit.Name(0).Key(), []loop.Member{{Ext: "png", Bytes: []byte("picture")}})
	if err != nil {
		t.Fatal(err)
	}
	rows := fmt.Sprintf(`{"example":"a","scenario":{"light":"low"},"digest":%q,"bytes":%d}`, digest, len(bundle)) + "\n"
	return photo{unit.ID(), string(bundle), rows, fmt.Sprintf(`{"space":"shapes","split":"evaluation","origin":"real","units":[{"samples":1,"rows_sha256":%q}]}`,
		loop.Digest(sha256.Sum256([]byte(rows))))}
}

// Every route that /openapi.json describes answers as it says, when it succeeds
// and when it refuses: real answers of a real server, that has real work behind
// it.
func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w", 2)
	peers := freeAddress(t)
	c.commands["server"] = func() *exec.Cmd {
		return exec.Command(honeBinary(t), "serve", "--data", c.data("server"), "--listen", strings.TrimPrefix(c.server, "http://"), "--peer-listen", peers)
	}
	c.start("server", "w")
	c.put(shapes.SpaceDocument, []string{"name: flat\nstrategy: uniform\n"}, []string{
		"name: c\nowner: ann\nspace: shapes\npolicy: flat\ngenerator: shapes\nseed: 7\nsamples: 300\nrounds: 1\n" +
			"gates: [format, blank]\nevaluation: {target: 50, pinned: [{slice: {light: low}, count: 10}]}\nlearn_from: [{model_line: net}]\n",
		"name: asks\nspace: shapes\npolicy: flat\ngenerator: none\nsamples: 100\nrounds: 2\ndecide: propose\nlearn_from: [{model_line: net}]\n",
		"name: idle\nspace: shapes\npolicy: flat\ngenerator: none\nsamples: 100\nrounds: 2\nlearn_from: [{model_line: net}]\n",
	})
	if _, err := c.client.Round(c.ctx, "c", 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	var digest loop.Digest
	for row, err := range c.client.Manifest(c.ctx, "c", 1) {
		if err != nil {
			t.Fatal(err)
		}
		digest = row.Digest
	}
	_, rows, err := c.client.Rows(c.ctx, "c.eval", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	var evaluated api.Row // in poor light, and drawn from the target
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		if row.Component == 0 && row.Scenario["light"] == "low" {
			evaluated = row
		}
	}

	asked := `{"author":"ann","digest":"` + c.proposal("asks", 1).Digest.String() + `"`

	send := func(method, path, kind, body string) (int, string, []byte) {
		t.Helper()
		request, err := http.NewRequestWithContext(c.ctx, method, c.server+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if kind != "" {
			request.Header.Set("Content-Type", kind)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return answer.StatusCode, answer.Header.Get("Content-Type"), text
	}
	status, _, document := send("GET", "/openapi.json", "", "")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	held := newContract(t, document)

	const jsonType, yamlType = "application/json", "application/yaml"
	unit := loop.Unit{Campaign: "c", Round: 1, Count: 3}.ID()
	row := `{"example":"a","scenario":{"light":"low"},"correct":false,"loss":2.5,"origin":"real","uri":"s3://field/a.png"}` + "\n"
	outcomes := "/v1/outcomes?space=shapes&model=net@1"
	photo := stagedPhoto(t)
	node, err := c.client.Node(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	const joins = `{"cluster":%q,"node":{"name":%q,"instance":%q,"address":"127.0.0.1:1","sequence":0,"contact_millis":-1,"version":2}}`
	for _, x := range []struct {
		operation, path, kind, body string
		status                      int
	}{
		{"GET /v1/spaces", "/v1/spaces", "", "", 200},
		{"POST /v1/spaces", "/v1/spaces", yamlType, string(shapes.SpaceDocument), 200},
		{"POST /v1/spaces", "/v1/spaces", yamlType, "name: x\nfactors: [", 422},
		{"POST /v1/spaces", "/v1/spaces", yamlType, "", 400},
		{"POST /v1/spaces", "/v1/spaces", yamlType, strings.Repeat("#", 5<<20), 413},
		{"POST /v1/spaces", "/v1/spaces", yamlType, strings.Replace(string(shapes.SpaceDocument), "name: shapes", "name: Shapes", 1), 409},
		{"GET /v1/spaces/{name}", "/v1/spaces/shapes", "", "", 200},
		{"GET /v1/spaces/{name}", "/v1/spaces/none", "", "", 404},
		{"GET /v1/spaces/{name}", "/v1/spaces/shapes?version=x", "", "", 422},
		{"GET /v1/policies", "/v1/policies", "", "", 200},
		{"POST /v1/policies", "/v1/policies", yamlType, "name: flat\nstrategy: uniform\n", 200},
		{"POST /v1/policies", "/v1/policies", yamlType, "name: flat\nstrategy: x\n", 422},
		{"GET /v1/policies/{name}", "/v1/policies/flat", "", "", 200},
		{"GET /v1/policies/{name}", "/v1/policies/none", "", "", 404},
		{"POST /v1/policies", "/v1/policies?expected=2&author=ann&reason=why", yamlType, "name: flat\nstrategy: uniform\nfloor: 0.5\n", 409},
		{"GET /v1/policies/{name}/history", "/v1/policies/flat/history", "", "", 200},
		{"POST /v1/policies/{name}/pin", "/v1/policies/flat/pin", jsonType, `{"slice":{"light":"low"},"share":0.1,"author":"ann","reason":"why not","expires":"2030-12-31"}`, 200},
		{"POST /v1/policies/{name}/pin", "/v1/policies/flat/pin", jsonType, `{"slice":{"light":"low"},"share":0.9,"reason":"all"}`, 422},
		{"POST /v1/policies/{name}/pin", "/v1/policies/flat/pin", jsonType, `{"slice":{"light": "dusk"},"share":0.1,"reason":"late","expected":1}`, 409},
		{"POST /v1/policies/{name}/ban", "/v1/policies/flat/ban", jsonType, `{"slice":{"light": "glare"},"reason":"why not"}`, 200},
		{"POST /v1/policies/{name}/ban", "/v1/policies/flat/ban", jsonType, `{"slice":{"light":"low"},"reason":"it is pinned"}`, 422},
		{"POST /v1/policies/{name}/unban", "/v1/policies/flat/unban", jsonType, `{"slice":{"light": "glare"}}`, 200},
		{"POST /v1/policies/{name}/unban", "/v1/policies/flat/unban", jsonType, `{"slice":{"light": "glare"}}`, 404},
		{"POST /v1/policies/{name}/unpin", "/v1/policies/flat/unpin", jsonType, `{"slice":{"light":"low"}}`, 200},
		{"POST /v1/policies/{name}/unpin", "/v1/policies/none/unpin", jsonType, `{"slice":{"light":"low"}}`, 404},
		{"POST /v1/policies/{name}/rollback", "/v1/policies/flat/rollback", jsonType, `{"version":2,"reason":"it was better"}`, 200},
		{"POST /v1/policies/{name}/rollback", "/v1/policies/flat/rollback", jsonType, `{"version":2,"reason":"it was better"}`, 409},
		{"GET /v1/policies/{name}/history", "/v1/policies/flat/history", "", "", 200},
		{"GET /v1/policies/{name}/history", "/v1/policies/none/history", "", "", 404},
		{"GET /v1/policies/{name}/diff", "/v1/policies/flat/diff?from=1&to=2", "", "", 200},
		{"GET /v1/policies/{name}/diff", "/v1/policies/flat/diff?from=9", "", "", 404},
		{"POST /v1/campaigns/{name}/policy", "/v1/campaigns/idle/policy", jsonType, `{"policy":"flat","author":"ann","reason":"why not"}`, 200},
		{"POST /v1/campaigns/{name}/policy", "/v1/campaigns/idle/policy", jsonType, `{"policy":"none"}`, 404},
		{"POST /v1/campaigns", "/v1/campaigns", yamlType, "name: d\nspace: shapes\npolicy: flat\ngenerator: none\nsamples: 10\n", 200},
		{"POST /v1/campaigns", "/v1/campaigns", yamlType, "name: d\nspace: shapes\npolicy: flat\ngenerator: none\nsamples: 11\n", 409},
		{"POST /v1/campaigns", "/v1/campaigns", yamlType, "name: e\nspace: shapes\npolicy: none\ngenerator: none\nsamples: 11\n", 422},
		{"GET /v1/campaigns", "/v1/campaigns", "", "", 200},
		{"GET /v1/campaigns/{name}", "/v1/campaigns/c", "", "", 200},
		{"GET /v1/campaigns/{name}", "/v1/campaigns/idle", "", "", 200},
		{"GET /v1/campaigns/{name}", "/v1/campaigns/none", "", "", 404},
		{"POST /v1/campaigns/{name}/pause", "/v1/campaigns/idle/pause", jsonType, `{"author":"ann","reason":"lunch"}`, 200},
		{"POST /v1/campaigns/{name}/pause", "/v1/campaigns/c/pause", "", "", 409},
		{"POST /v1/campaigns/{name}/pause", "/v1/campaigns/idle/pause", jsonType, `{"because":"lunch"}`, 422},
		{"POST /v1/campaigns/{name}/pause", "/v1/campaigns/idle/pause", jsonType, `{`, 400},
		{"POST /v1/campaigns/{name}/pause", "/v1/campaigns/idle/pause", yamlType, `reason: lunch`, 415},
		{"POST /v1/campaigns/{name}/resume", "/v1/campaigns/idle/resume", "", "", 200},
		{"POST /v1/campaigns/{name}/resume", "/v1/campaigns/none/resume", "", "", 404},
		{"POST /v1/campaigns/{name}/extend", "/v1/campaigns/idle/extend", jsonType, `{"samples":200,"author":"ann"}`, 200},
		{"POST /v1/campaigns/{name}/extend", "/v1/campaigns/idle/extend", jsonType, `{"samples":1}`, 422},
		{"POST /v1/campaigns/{name}/extend", "/v1/campaigns/idle/extend", jsonType, `{"samples":300,"version":1}`, 409},
		{"POST /v1/campaigns/{name}/close", "/v1/campaigns/idle/close", jsonType, `{"reason":"enough"}`, 200},
		{"POST /v1/campaigns/{name}/close", "/v1/campaigns/none/close", "", "", 404},
		{"GET /v1/campaigns/{name}", "/v1/campaigns/idle", "", "", 200},
		{"GET /v1/campaigns/{name}/watch", "/v1/campaigns/idle/watch", "", "", 200},
		{"GET /v1/campaigns/{name}/watch", "/v1/campaigns/none/watch", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds", "/v1/campaigns/c/rounds", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds", "/v1/campaigns/none/rounds", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds/{number}", "/v1/campaigns/c/rounds/1?wait=1s", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds/{number}", "/v1/campaigns/c/rounds/9", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds/{number}", "/v1/campaigns/c/rounds/0", "", "", 422},
		{"GET /v1/campaigns/{name}/rounds/{number}/canonical", "/v1/campaigns/c/rounds/1/canonical", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds/{number}/canonical", "/v1/campaigns/c/rounds/9/canonical", "", "", 404},
		{"POST /v1/campaigns/{name}/rounds/{number}/replay", "/v1/campaigns/c/rounds/1/replay", "", "", 200},
		{"POST /v1/campaigns/{name}/rounds/{number}/replay", "/v1/campaigns/c/rounds/9/replay", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds/{number}/preview", "/v1/campaigns/asks/rounds/1/preview", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds/{number}/preview", "/v1/campaigns/asks/rounds/2/preview", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds/{number}/preview", "/v1/campaigns/c/rounds/1/preview", "", "", 409},
		{"POST /v1/campaigns/{name}/rounds/{number}/amend", "/v1/campaigns/asks/rounds/1/amend", jsonType, asked + `,"pins":[{"slice":{"light":"low"},"share":0.25}]}`, 200},
		{"POST /v1/campaigns/{name}/rounds/{number}/amend", "/v1/campaigns/asks/rounds/1/amend", jsonType, asked + `,"bans":[{"slice":{"light":"low"}}]}`, 409},
		{"POST /v1/campaigns/{name}/rounds/{number}/amend", "/v1/campaigns/asks/rounds/1/amend", jsonType, asked + `}`, 422},
		{"POST /v1/campaigns/{name}/rounds/{number}/reject", "/v1/campaigns/asks/rounds/1/reject", jsonType, asked + `}`, 409},
		{"POST /v1/campaigns/{name}/propose", "/v1/campaigns/asks/propose", jsonType, `{"author":"ann","reason":"as it was"}`, 200},
		{"POST /v1/campaigns/{name}/propose", "/v1/campaigns/c/propose", jsonType, `{"author":"ann"}`, 409},
		{"POST /v1/campaigns/{name}/rounds/{number}/reject", "/v1/campaigns/asks/rounds/1/reject", jsonType, asked + `}`, 200},
		{"POST /v1/campaigns/{name}/propose", "/v1/campaigns/asks/propose", "", "", 200},
		{"POST /v1/campaigns/{name}/rounds/{number}/approve", "/v1/campaigns/asks/rounds/1/approve", jsonType, asked + `}`, 200},
		{"POST /v1/campaigns/{name}/rounds/{number}/approve", "/v1/campaigns/asks/rounds/2/approve", jsonType, asked + `}`, 404},
		{"GET /v1/campaigns/{name}/proposals", "/v1/campaigns/asks/proposals", "", "", 200},
		{"GET /v1/campaigns/{name}/proposals", "/v1/campaigns/none/proposals", "", "", 404},
		{"POST /v1/policies", "/v1/policies?canary=0.1&author=ann&reason=why", yamlType, "name: flat\nstrategy: target\n", 200},
		{"POST /v1/policies", "/v1/policies?canary=0.7", yamlType, "name: flat\nstrategy: target\n", 422},
		{"POST /v1/policies", "/v1/policies?canary=0.1", yamlType, "name: first\nstrategy: target\n", 409},
		{"POST /v1/policies/{name}/pin", "/v1/policies/flat/pin", jsonType, `{"slice":{"light":"low"},"share":0.1,"reason":"why not"}`, 409},
		{"GET /v1/policies/{name}/canary", "/v1/policies/flat/canary", "", "", 200},
		{"GET /v1/policies/{name}/canary", "/v1/policies/flat/canary?campaign=none", "", "", 404},
		{"GET /v1/policies/{name}/canary", "/v1/policies/none/canary", "", "", 404},
		{"GET /v1/campaigns/{name}", "/v1/campaigns/asks", "", "", 200},
		{"GET /v1/policies/{name}/history", "/v1/policies/flat/history", "", "", 200},
		{"POST /v1/policies/{name}/withdraw", "/v1/policies/flat/withdraw", jsonType, `{"reason":"enough"}`, 200},
		{"POST /v1/policies/{name}/withdraw", "/v1/policies/flat/withdraw", jsonType, `{"reason":"enough"}`, 409},
		{"POST /v1/policies/{name}/promote", "/v1/policies/flat/promote", jsonType, `{"reason":"enough"}`, 409},
		{"POST /v1/policies/{name}/promote", "/v1/policies/none/promote", jsonType, `{}`, 404},
		{"POST /v1/policies", "/v1/policies?canary=0.25", yamlType, "name: flat\nstrategy: target\n", 200},
		{"POST /v1/policies/{name}/promote", "/v1/policies/flat/promote", jsonType, `{"reason":"it was better"}`, 200},
		{"POST /v1/outcomes", outcomes, api.NDJSON, row, 200},
		{"POST /v1/outcomes", outcomes + "&run=r", api.NDJSON, row, 200},
		{"POST /v1/outcomes", outcomes + "&run=r", api.NDJSON, row, 200}, // a duplicate
		{"POST /v1/outcomes", outcomes, api.NDJSON, strings.Replace(row, "low", "lo", 1), 422},
		{"POST /v1/outcomes", outcomes, api.NDJSON, strings.Replace(row, "s3://", `s3:\n//`, 1), 422},
		{"POST /v1/outcomes", outcomes, api.NDJSON, "{", 400},
		{"POST /v1/outcomes", outcomes, "text/csv", row, 415},
		{"POST /v1/outcomes", "/v1/outcomes?space=none&model=net@1", api.NDJSON, row, 404},
		{"POST /v1/outcomes", outcomes + "&eval_set=c.eval@1", api.NDJSON, `{"sample":"` + evaluated.Digest.String() + `","correct":false}`, 200},
		{"POST /v1/models/{line}/{version}/seal", "/v1/models/net/1/seal", jsonType, `{"rows":7}`, 409},
		{"POST /v1/models/{line}/{version}/seal", "/v1/models/net/1/seal", jsonType, `{"rows":3}`, 200},
		{"POST /v1/outcomes", outcomes, api.NDJSON, row, 409},
		{"GET /v1/models", "/v1/models", "", "", 200},
		{"GET /v1/campaigns/{name}/forecast", "/v1/campaigns/c/forecast", "", "", 200},
		{"GET /v1/campaigns/{name}/forecast", "/v1/campaigns/none/forecast", "", "", 404},
		{"GET /v1/campaigns/{name}/rounds/{number}/suspects", "/v1/campaigns/c/rounds/1/suspects", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds/{number}/suspects", "/v1/campaigns/c/rounds/1/suspects?top=2&where=light%3Dlow", "", "", 200},
		{"GET /v1/campaigns/{name}/rounds/{number}/suspects", "/v1/campaigns/c/rounds/1/suspects?where=light%3Dlo", "", "", 422},
		{"GET /v1/campaigns/{name}/rounds/{number}/suspects", "/v1/campaigns/c/rounds/1/suspects?top=0", "", "", 422},
		{"GET /v1/campaigns/{name}/rounds/{number}/suspects", "/v1/campaigns/c/rounds/9/suspects", "", "", 404},
		{"POST /v1/campaigns/{name}/simulate", "/v1/campaigns/c/simulate", jsonType, `{"policy":"name: bolder\nshares: {boosted: 0.3}\n"}`, 200},
		{"POST /v1/campaigns/{name}/simulate", "/v1/campaigns/c/simulate", jsonType, `{"policy":"name: bolder","replay":true}`, 200},
		{"POST /v1/campaigns/{name}/simulate", "/v1/campaigns/c/simulate", jsonType, `{"policy":"nam: bolder"}`, 422},
		{"POST /v1/campaigns/{name}/simulate", "/v1/campaigns/none/simulate", jsonType, `{"policy":"name: bolder"}`, 404},
		{"POST /v1/campaigns/{name}/simulate", "/v1/campaigns/d/simulate", jsonType, `{"policy":"name: bolder"}`, 409},
		{"POST /v1/datasets", "/v1/datasets", jsonType, `{"name":"dark","from":"c@1","where":{"light":"low"}}`, 200},
		{"POST /v1/datasets", "/v1/datasets", jsonType, `{"name":"dark","from":"none@1"}`, 404},
		{"PUT /v1/staging/{worker}/{unit}/{name}", "/v1/staging/" + api.ImportWorker + "/" + photo.unit + "/" + loop.Bundle, "application/octet-stream", photo.bundle, 200},
		{"PUT /v1/staging/{worker}/{unit}/{name}", "/v1/staging/" + api.ImportWorker + "/" + photo.unit + "/" + api.ImportRows, "application/octet-stream", photo.rows, 200},
		{"POST /v1/datasets/{name}/import", "/v1/datasets/photos/import", jsonType, photo.request, 200},
		{"POST /v1/datasets/{name}/import", "/v1/datasets/photos/import", jsonType, photo.request, 200}, // swept, but there
		{"POST /v1/datasets/{name}/import", "/v1/datasets/photos/import", jsonType, strings.Replace(photo.request, "real", "odd", 1), 422},
		{"POST /v1/datasets/{name}/import", "/v1/datasets/photos/import", jsonType, strings.Replace(photo.request, "real", "synthetic", 1), 409}, // not staged any more
		{"POST /v1/datasets/{name}/import", "/v1/datasets/c/import", jsonType, photo.request, 409},
		{"GET /v1/datasets/{name}/{version}", "/v1/datasets/photos/1", "", "", 200},
		{"GET /v1/datasets/{name}/{version}/rows", "/v1/datasets/photos/1/rows", "", "", 200},
		{"POST /v1/outcomes", "/v1/outcomes?space=shapes&model=net@2&eval_set=photos@1", api.NDJSON, `{"example":"a","correct":true}`, 200},
		{"POST /v1/outcomes", "/v1/outcomes?space=shapes&model=net@2&eval_set=photos@1", api.NDJSON, `{"example":"b","correct":true}`, 422},
		{"GET /v1/datasets", "/v1/datasets", "", "", 200},
		{"GET /v1/datasets/{name}", "/v1/datasets/c", "", "", 200},
		{"GET /v1/datasets/{name}", "/v1/datasets/none", "", "", 404},
		{"GET /v1/datasets/{name}/{version}", "/v1/datasets/c.eval/1", "", "", 200},
		{"GET /v1/datasets/{name}/{version}", "/v1/datasets/c/9", "", "", 404},
		{"GET /v1/datasets/{name}/{version}/manifest", "/v1/datasets/c/1/manifest", "", "", 200},
		{"GET /v1/datasets/{name}/{version}/manifest", "/v1/datasets/c/9/manifest", "", "", 404},
		{"GET /v1/datasets/{name}/{version}/rows", "/v1/datasets/c/1/rows", "", "", 200},
		{"GET /v1/datasets/{name}/{version}/rows", "/v1/datasets/c/1/rows?from=999", "", "", 422},
		{"POST /v1/lake/collect", "/v1/lake/collect", jsonType, `{"dry_run":1}`, 422},
		{"POST /v1/lake/collect", "/v1/lake/collect", jsonType, `{"dry_run":true}`, 200},
		{"POST /v1/lake/collect", "/v1/lake/collect", jsonType, `{}`, 200},
		{"GET /v1/samples/{digest}", "/v1/samples/" + digest.String(), "", "", 200},
		{"GET /v1/samples/{digest}", "/v1/samples/" + loop.Digest{}.String(), "", "", 404},
		{"POST /v1/samples", "/v1/samples", jsonType, `{"digests":["` + digest.String() + `"]}`, 200},
		{"POST /v1/samples", "/v1/samples", jsonType, `{"digests":[]}`, 422},
		{"POST /v1/sql", "/v1/sql", jsonType, `{"query":"select * from shapes.outcomes"}`, 200},
		{"POST /v1/sql", "/v1/sql", jsonType, `{"query":"selec"}`, 422},
		{"POST /v1/sql", "/v1/sql", yamlType, `query: select 1`, 415},
		{"PUT /v1/staging/{worker}/{unit}/{name}", "/v1/staging/ann/" + unit + "/" + loop.Bundle, "application/octet-stream", "bytes", 200},
		{"PUT /v1/staging/{worker}/{unit}/{name}", "/v1/staging/ann/unit/" + loop.Bundle, "application/octet-stream", "bytes", 422},
		{"GET /v1/node", "/v1/node", "", "", 200},
		{"GET /v1/cluster", "/v1/cluster", "", "", 200},
		{"GET /v1/cluster/snapshot", "/v1/cluster/snapshot", "", "", 200},
		{"POST /v1/cluster/members", "/v1/cluster/members", jsonType, fmt.Sprintf(joins, node.Cluster, "n2", "x"), 200},
		{"POST /v1/cluster/members", "/v1/cluster/members", jsonType, fmt.Sprintf(joins, "another", "n3", "y"), 409},
		{"POST /v1/cluster/members", "/v1/cluster/members", jsonType, fmt.Sprintf(joins, node.Cluster, "n2", "y"), 409},
		{"POST /v1/cluster/members/{name}/vote", "/v1/cluster/members/n1/vote", "", "", 200},
		{"POST /v1/cluster/members/{name}/vote", "/v1/cluster/members/n9/vote", "", "", 404},
		{"DELETE /v1/cluster/members/{name}", "/v1/cluster/members/n2", "", "", 200},
		{"DELETE /v1/cluster/members/{name}", "/v1/cluster/members/n1", "", "", 409},
		{"POST /v1/cluster/transfer", "/v1/cluster/transfer", jsonType, `{"to":"n1"}`, 200},
		{"POST /v1/cluster/transfer", "/v1/cluster/transfer", jsonType, `{}`, 409},
		{"POST /v1/cluster/clock", "/v1/cluster/clock", "", "", 200},
		{"POST /v1/cluster/verify", "/v1/cluster/verify", "", "", 200},
		{"GET /v1/status", "/v1/status", "", "", 200},
		{"GET /v1/status", "/v1/status?", "", "", 200},
		{"GET /v1/workers", "/v1/workers", "", "", 426},
	} {
		method, _, _ := strings.Cut(x.operation, " ")
		code, kind, body := send(method, x.path, x.kind, x.body)
		if code != x.status {
			t.Errorf("%s %s: %d, want %d: %.300s", method, x.path, code, x.status, body)
		}
		held.hold(x.operation, code, kind, body)
	}

	dialer := websocket.Dialer{Subprotocols: []string{gpuworker.Subprotocol}}
	conn, answer, err := dialer.DialContext(c.ctx, "ws"+strings.TrimPrefix(c.server, "http")+"/v1/workers", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	conn.Close()
	held.hold("GET /v1/workers", answer.StatusCode, "", nil)

	// What a person is shown, to check the labels: where to open what the poster named.
	for _, x := range []struct{ more, want string }{
		{"", "Round 1 of campaign c has no slice in quarantine and damps none, and none looks unlearnable.\n"},
		{"1 --where light=low --top 1", "light=low is not damped.\n   2 groups of net@1 failed; to look at:\nEVAL SET  EXAMPLE  LOSS  OPEN\n          a         2.5  s3://field/a.png\n"},
		{"1 --where light=low --output json", `"failures":2,"examples":[{"example":"a","uri":"s3://field/a.png","loss":2.5},` +
			`{"eval_set":"c.eval@1","example":"` + evaluated.Digest.String() + `","sample":"` + evaluated.Digest.String() + `","made":"c/` + evaluated.Key + `"}]}]`},
		{"--where light=low", "c.eval@1  c/" + evaluated.Key + "        /v1/samples/" + evaluated.Digest.String() + "\n"},
	} {
		code, stdout, stderr := hone(t, "", append([]string{"round", "suspects", "c", "--server", c.server}, strings.Fields(x.more)...)...)
		if code != exitOK || !strings.Contains(stdout, x.want) {
			t.Errorf("suspects %s: %d\n%s\nwant\n%s\n%s", x.more, code, stdout, x.want, stderr)
		}
	}

	// These take nothing that could be wrong.
	refusesNothing := []string{"GET /v1/spaces", "GET /v1/policies", "GET /v1/campaigns", "GET /v1/datasets", "GET /v1/models", "GET /v1/status",
		"GET /v1/node", "GET /v1/cluster", "GET /v1/cluster/snapshot", "POST /v1/cluster/verify", "POST /v1/cluster/clock"}
	for path, methods := range held.paths {
		for method := range methods {
			operation := strings.ToUpper(method) + " " + path
			if !held.succeeded[operation] {
				t.Errorf("%s is described, but no success of it was held against that: add a line above", operation)
			}
			if !held.refused[operation] && !slices.Contains(refusesNothing, operation) {
				t.Errorf("%s is described, but no refusal of it was held against that: add a line above", operation)
			}
		}
	}
	c.check()
}

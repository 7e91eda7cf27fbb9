package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"hone/coordinator"
	"hone/ingest"
)

// commandRoutes are the routes that each command is made of; one that asks no
// server has none.
var commandRoutes = map[string][]string{
	"space put":             {"POST /v1/spaces"},
	"space show":            {"GET /v1/spaces/{name}"},
	"space list":            {"GET /v1/spaces"},
	"policy put":            {"POST /v1/policies"},
	"policy show":           {"GET /v1/policies/{name}"},
	"policy list":           {"GET /v1/policies"},
	"policy simulate":       {"POST /v1/campaigns/{name}/simulate"},
	"policy history":        {"GET /v1/policies/{name}/history"},
	"policy diff":           {"GET /v1/policies/{name}/diff"},
	"policy rollback":       {"POST /v1/policies/{name}/rollback"},
	"policy canary":         {"GET /v1/policies/{name}/canary"},
	"policy promote":        {"POST /v1/policies/{name}/promote"},
	"policy withdraw":       {"POST /v1/policies/{name}/withdraw"},
	"policy pin":            {"POST /v1/policies/{name}/pin"},
	"policy unpin":          {"POST /v1/policies/{name}/unpin"},
	"policy ban":            {"POST /v1/policies/{name}/ban"},
	"policy unban":          {"POST /v1/policies/{name}/unban"},
	"campaign policy":       {"POST /v1/campaigns/{name}/policy"},
	"campaign create":       {"POST /v1/campaigns", "GET /v1/campaigns/{name}"},
	"campaign show":         {"GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/forecast"},
	"campaign list":         {"GET /v1/campaigns"},
	"campaign pause":        {"POST /v1/campaigns/{name}/pause"},
	"campaign resume":       {"POST /v1/campaigns/{name}/resume"},
	"campaign close":        {"POST /v1/campaigns/{name}/close"},
	"campaign extend":       {"POST /v1/campaigns/{name}/extend"},
	"campaign watch":        {"GET /v1/campaigns/{name}/watch"},
	"campaign forecast":     {"GET /v1/campaigns/{name}/forecast"},
	"experiment create":     {"GET /v1/spaces/{name}", "GET /v1/policies/{name}", "POST /v1/policies", "POST /v1/campaigns"},
	"experiment show":       {"GET /v1/campaigns", "GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/rounds/{number}", "GET /v1/models", "POST /v1/sql"},
	"round show":            {"GET /v1/campaigns/{name}/rounds", "GET /v1/campaigns/{name}/rounds/{number}"},
	"round explain":         {"GET /v1/campaigns/{name}/rounds/{number}"},
	"round preview":         {"GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/rounds/{number}/preview"},
	"round proposals":       {"GET /v1/campaigns/{name}/proposals"},
	"round propose":         {"POST /v1/campaigns/{name}/propose"},
	"round approve":         {"GET /v1/campaigns/{name}/proposals", "POST /v1/campaigns/{name}/rounds/{number}/approve"},
	"round reject":          {"GET /v1/campaigns/{name}/proposals", "POST /v1/campaigns/{name}/rounds/{number}/reject"},
	"round amend":           {"GET /v1/campaigns/{name}/proposals", "POST /v1/campaigns/{name}/rounds/{number}/amend"},
	"round suspects":        {"GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/rounds/{number}/suspects"},
	"round replay":          {"GET /v1/campaigns/{name}/rounds", "POST /v1/campaigns/{name}/rounds/{number}/replay"},
	"outcomes push":         {"POST /v1/outcomes"},
	"outcomes show":         {"POST /v1/sql"},
	"model seal":            {"POST /v1/models/{line}/{version}/seal"},
	"dataset list":          {"GET /v1/datasets"},
	"dataset show":          {"GET /v1/datasets/{name}", "GET /v1/datasets/{name}/{version}"},
	"dataset verify":        {"GET /v1/datasets/{name}/{version}/manifest", "POST /v1/samples"},
	"dataset export":        {"GET /v1/datasets/{name}/{version}/rows", "POST /v1/samples"},
	"dataset publish":       {"POST /v1/datasets"},
	"import":                {"GET /v1/spaces/{name}", "PUT /v1/staging/{worker}/{unit}/{name}", "POST /v1/datasets/{name}/import"},
	"make":                  {"GET /v1/spaces/{name}", "POST /v1/campaigns", "GET /v1/campaigns/{name}", "GET /v1/datasets/{name}/{version}/rows", "POST /v1/samples"},
	"report":                {"GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/rounds", "POST /v1/sql", "GET /v1/samples/{digest}"},
	"work":                  {"GET /v1/workers", "PUT /v1/staging/{worker}/{unit}/{name}"},
	"sql":                   {"POST /v1/sql"},
	"status":                {"GET /v1/status"},
	"lake collect":          {"POST /v1/lake/collect"},
	"cluster status":        {"GET /v1/cluster"},
	"cluster add":           {"POST /v1/cluster/members/{name}/vote"},
	"cluster remove":        {"DELETE /v1/cluster/members/{name}"},
	"cluster transfer":      {"POST /v1/cluster/transfer", "GET /v1/cluster"},
	"cluster verify":        {"POST /v1/cluster/verify"},
	"cluster confirm-clock": {"POST /v1/cluster/clock"},
	"cluster snapshot":      {"GET /v1/cluster/snapshot"},
	"serve":                 {"GET /v1/node", "POST /v1/cluster/members"},
	"watch":                 {"GET /v1/status", "GET /v1/campaigns/{name}", "GET /v1/campaigns/{name}/rounds/{number}"},

	"demo": nil, "cluster restore": nil, "init": nil, "slices": nil, "schema": nil, "space init": nil, "space check": nil, "space preview": nil,
	"generator check": nil, "gate check": nil,
	"completion bash": nil, "completion zsh": nil, "completion fish": nil, "completion words": nil,
}

// programRoutes are for programs, and no command's.
var programRoutes = []string{"GET /v1/campaigns/{name}/rounds/{number}/canonical", "GET /v1/models"}

// What a command does at a server, any program can do: each of its routes is
// described, and every route that is described is a command's or a program's.
func TestEveryCommandsRoute(t *testing.T) {
	mux := http.NewServeMux()
	routes := coordinator.NewAPI(mux, "test")
	coordinator.Register(routes, coordinator.ControlOptions{Coordinator: coordinator.New(coordinator.Options{})})
	ingest.New(ingest.Options{}).Register(routes)
	registerWorkers(mux, routes, http.NotFoundHandler())
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", nil))
	var document struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, methods := range document.Paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}

	commandsThere := map[string]bool{}
	var walk func(path string, all []*cli.Command)
	walk = func(path string, all []*cli.Command) {
		for _, c := range all {
			here := strings.TrimSpace(path + " " + c.Name)
			if len(c.Subcommands) > 0 {
				walk(here, c.Subcommands)
				continue
			}
			commandsThere[here] = true
			if _, ok := commandRoutes[here]; !ok {
				t.Errorf("hone %s: say in commandRoutes which routes it is made of", here)
			}
		}
	}
	walk("", commands())

	used := map[string]bool{}
	for command, of := range commandRoutes {
		if !commandsThere[command] {
			t.Errorf("there is no command %q", command)
		}
		for _, route := range of {
			if used[route] = true; !described[route] {
				t.Errorf("hone %s asks %s, which is not described", command, route)
			}
		}
	}
	for _, route := range programRoutes {
		used[route] = true
	}
	for route := range described {
		if !used[route] {
			t.Errorf("%s is neither a command's nor a program's", route)
		}
	}
}

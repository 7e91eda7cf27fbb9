package main

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
)

// workersPath is where workers connect.
const workersPath = "/v1/workers"

// registerWorkers adds the workers' socket, and describes it like any route: what
// goes over it is between this program's two ends.
func registerWorkers(mux *http.ServeMux, to huma.API, hub http.Handler) {
	schemas := to.OpenAPI().Components.Schemas
	problem := map[string]*huma.MediaType{api.ProblemType: {Schema: schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem")}}
	text := map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}
	to.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: workersPath, OperationID: "work", Summary: "Connect as a worker", Tags: []string{"Workers"},
		Description: "A WebSocket over which \"hone work\" is handed units and delivers them. Its frames are no part of this API and change between versions: " +
			"what makes samples is connected by a program that speaks the generators' protocol, not by this.",
		Responses: map[string]*huma.Response{
			"101": {Description: "The socket is open"},
			"426": {Description: "The request asks for no WebSocket", Content: problem},
			"400": {Description: "It is a WebSocket of another version", Content: text},
			"503": {Description: "There is no room for a worker now", Content: text},
		},
	})
	mux.HandleFunc("GET "+workersPath, func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			hub.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusUpgradeRequired)
		_ = json.NewEncoder(w).Encode(api.NewProblem(http.StatusUpgradeRequired, "workers connect by WebSocket: hone work --server URL"))
	})
}

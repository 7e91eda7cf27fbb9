package ingest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestOpenAPI: the operation is described, though it is not one of huma's typed
// ones, and every reference in it leads somewhere.
func TestOpenAPI(t *testing.T) {
	server, _ := serve(t, newWorld(), Options{})
	answer, err := http.Get(server.URL + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name string }
			RequestBody struct{ Content map[string]any }
			Responses   map[string]any
		}
		Components struct{ Schemas map[string]any }
	}
	text := json.NewDecoder(answer.Body)
	if err := text.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	op, ok := doc.Paths["/v1/outcomes"]["post"]
	if !ok || len(op.Parameters) != 6 || len(op.RequestBody.Content) != 2 || len(op.Responses) != 8 {
		t.Fatalf("got %+v", op)
	}
	for _, r := range op.Responses {
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		_, reference, _ := strings.Cut(string(encoded), "#/components/schemas/")
		name, _, _ := strings.Cut(reference, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("there is no schema %q", name)
		}
	}
}

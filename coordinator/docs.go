package coordinator

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
)

// The page at /docs is the same description as /openapi.json, for people: made
// here, so that it needs no script and nothing from elsewhere.
var (
	//go:embed docs.html
	docsHTML string
	//go:embed docs.css
	docsCSS []byte

	docsTemplate = template.Must(template.New("docs").Parse(docsHTML))
)

// docsPolicy lets the page load what this server serves, and nothing run.
const docsPolicy = "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveDocs adds the page. It is made when it is asked for, when all routes are
// there.
func serveDocs(mux *http.ServeMux, to huma.API) {
	send := func(w http.ResponseWriter, kind string, content []byte) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(content) // to a reader who may be gone
	}
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		var page bytes.Buffer
		d := docs{api: to.OpenAPI(), server: "http://" + r.Host}
		if err := docsTemplate.Execute(&page, d.page()); err != nil {
			writeProblem(w, api.NewProblem(http.StatusInternalServerError, "the page cannot be made: "+err.Error()))
			return
		}
		send(w, "text/html; charset=utf-8", page.Bytes())
	})
	mux.HandleFunc("GET /docs/style.css", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "text/css; charset=utf-8", docsCSS)
	})
}

// docs makes the page of a description.
type docs struct {
	api    *huma.OpenAPI
	server string
}

type docsPage struct {
	Title, Version, Description, Server string
	Groups                              []docsGroup
	Types                               []docsType
}

type docsGroup struct {
	Name, Description string
	Routes            []docsRoute
}

type docsRoute struct {
	ID, Method, Path, Summary, Description, Curl string
	Parameters                                   []docsField
	Bodies, Answers                              []docsBody
	Refusals                                     []docsRefusal
}

// docsBody is what is sent or answered, in one type.
type docsBody struct {
	Status, Description, Kind, Example string
	Type                               docsTyped
	// Fields are those of a type that has no name.
	Fields []docsField
}

type docsRefusal struct{ Status, Meaning string }

type docsType struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name, In, Description, Limits string
	Required                      bool
	Type                          docsTyped
}

// docsTyped is a type in words, the last of which may be a type of the page.
type docsTyped struct{ Words, Ref string }

func (d *docs) page() docsPage {
	page := docsPage{Title: d.api.Info.Title, Version: d.api.Info.Version, Description: d.api.Info.Description, Server: d.server}
	at := map[string]int{}
	for _, tag := range d.api.Tags {
		at[tag.Name] = len(page.Groups)
		page.Groups = append(page.Groups, docsGroup{Name: tag.Name, Description: tag.Description})
	}
	for path, item := range d.api.Paths {
		for method, o := range map[string]*huma.Operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete} {
			if o == nil || o.Hidden {
				continue
			}
			name := "Other"
			if len(o.Tags) > 0 {
				name = o.Tags[0]
			}
			if _, ok := at[name]; !ok {
				at[name] = len(page.Groups)
				page.Groups = append(page.Groups, docsGroup{Name: name})
			}
			g := &page.Groups[at[name]]
			g.Routes = append(g.Routes, d.route(method, path, o))
		}
	}
	page.Groups = slices.DeleteFunc(page.Groups, func(g docsGroup) bool { return len(g.Routes) == 0 })
	for i := range page.Groups {
		slices.SortFunc(page.Groups[i].Routes, func(a, b docsRoute) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
	}
	for name, schema := range d.api.Components.Schemas.Map() {
		page.Types = append(page.Types, docsType{Name: name, Fields: d.fields(schema, "#/components/schemas/"+name)})
	}
	slices.SortFunc(page.Types, func(a, b docsType) int { return strings.Compare(a.Name, b.Name) })
	return page
}

func (d *docs) route(method, path string, o *huma.Operation) docsRoute {
	r := docsRoute{ID: o.OperationID, Method: method, Path: path, Summary: o.Summary, Description: o.Description}
	for _, p := range o.Parameters {
		f := docsField{Name: p.Name, In: p.In, Description: cmp.Or(p.Description, p.Schema.Description), Required: p.Required,
			Type: d.typed(p.Schema), Limits: limits(p.Schema)}
		r.Parameters = append(r.Parameters, f)
	}
	if o.RequestBody != nil {
		for _, kind := range sortedKeys(o.RequestBody.Content) {
			r.Bodies = append(r.Bodies, d.body("", o.RequestBody.Description, kind, o.RequestBody.Content[kind]))
		}
	}
	for _, status := range sortedKeys(o.Responses) {
		answer := o.Responses[status]
		if status >= "400" {
			r.Refusals = append(r.Refusals, docsRefusal{status, answer.Description})
			continue
		}
		for _, kind := range sortedKeys(answer.Content) {
			r.Answers = append(r.Answers, d.body(status, answer.Description, kind, answer.Content[kind]))
		}
		if len(answer.Content) == 0 {
			r.Answers = append(r.Answers, docsBody{Status: status, Description: answer.Description})
		}
	}
	r.Curl = d.curl(&r, o)
	return r
}

func (d *docs) body(status, description, kind string, m *huma.MediaType) docsBody {
	b := docsBody{Status: status, Description: description, Kind: kind}
	if b.Description == "OK" {
		b.Description = ""
	}
	switch example := m.Example.(type) {
	case nil:
		if m.Schema != nil && strings.Contains(kind, "json") {
			b.Example = indented(d.example(m.Schema, 0))
		}
	case string:
		b.Example = example
	default:
		text, _ := json.MarshalIndent(example, "", "  ") // of a literal in this program
		b.Example = string(text)
	}
	if m.Schema != nil {
		b.Type = d.typed(m.Schema)
		b.Fields = d.fields(m.Schema, "")
	}
	return b
}

// curl is a line that can be typed.
func (d *docs) curl(r *docsRoute, o *huma.Operation) string {
	target := r.Path
	var query []string
	var b strings.Builder
	b.WriteString("curl")
	for _, p := range o.Parameters {
		example := fmt.Sprint(parameterExample(p))
		switch {
		case p.In == "path":
			target = strings.ReplaceAll(target, "{"+p.Name+"}", example)
		case p.In == "query" && p.Required:
			query = append(query, p.Name+"="+example)
		}
	}
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	if len(r.Bodies) > 0 {
		// What is easiest to type is what is shown.
		body := r.Bodies[len(r.Bodies)-1]
		fmt.Fprintf(&b, " -X %s -H 'Content-Type: %s'", r.Method, body.Kind)
		switch {
		case body.Kind == "application/json":
			fmt.Fprintf(&b, " \\\n  -d '%s'", compact(body.Example))
		default:
			fmt.Fprintf(&b, " --data-binary @FILE")
		}
		b.WriteString(" \\\n ")
	}
	fmt.Fprintf(&b, " '%s%s'", d.server, target)
	return b.String()
}

func parameterExample(p *huma.Param) any {
	switch {
	case p.Example != nil:
		return p.Example
	case p.Schema != nil && len(p.Schema.Examples) > 0:
		return p.Schema.Examples[0]
	case p.Schema != nil && p.Schema.Type == huma.TypeInteger:
		return 1
	}
	return strings.ToUpper(p.Name)
}

// typed is a schema's type in words.
func (d *docs) typed(s *huma.Schema) docsTyped {
	switch {
	case s.Ref != "":
		return docsTyped{Ref: s.Ref[strings.LastIndex(s.Ref, "/")+1:]}
	case s.Type == huma.TypeArray && s.Items != nil:
		of := d.typed(s.Items)
		return docsTyped{strings.TrimSpace("list of " + of.Words), of.Ref}
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok && len(s.Properties) == 0 {
			t := d.typed(of)
			return docsTyped{strings.TrimSpace("object of " + t.Words), t.Ref}
		}
		return docsTyped{Words: "object"}
	case s.Format == "binary":
		return docsTyped{Words: "bytes"}
	case s.Format == "date-time":
		return docsTyped{Words: "time"}
	case s.Type == "":
		return docsTyped{Words: "anything"}
	}
	return docsTyped{Words: s.Type}
}

func limits(s *huma.Schema) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		add("%s", strings.Join(words, ", "))
	}
	if s.Minimum != nil {
		add("at least %s", strconv.FormatFloat(*s.Minimum, 'f', -1, 64))
	}
	if s.Maximum != nil {
		add("at most %s", strconv.FormatFloat(*s.Maximum, 'f', -1, 64))
	}
	if s.MinItems != nil {
		add("at least %d", *s.MinItems)
	}
	if s.MaxItems != nil {
		add("at most %d", *s.MaxItems)
	}
	if s.MaxLength != nil {
		add("at most %d characters", *s.MaxLength)
	}
	return strings.Join(all, "; ")
}

// fields are a type's, in the order in which they are sent.
func (d *docs) fields(s *huma.Schema, ref string) []docsField {
	fields := make([]docsField, 0, len(s.Properties))
	for _, name := range d.order(s, ref) {
		p := s.Properties[name]
		fields = append(fields, docsField{Name: name, Description: p.Description, Required: slices.Contains(s.Required, name),
			Type: d.typed(p), Limits: limits(p)})
	}
	return fields
}

// order is that of the Go type where the schema has one.
func (d *docs) order(s *huma.Schema, ref string) []string {
	names := sortedKeys(s.Properties)
	if ref == "" {
		return names
	}
	t := d.api.Components.Schemas.TypeFromRef(ref)
	if t == nil || t.Kind() != reflect.Struct {
		return names
	}
	place := map[string]int{}
	for i, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		place[cmp.Or(name, f.Name)] = i
	}
	slices.SortStableFunc(names, func(a, b string) int { return place[a] - place[b] })
	return names
}

// exampleDepth is how deep an example goes.
const exampleDepth = 6

// example is a value of the schema, as JSON.
func (d *docs) example(s *huma.Schema, depth int) string {
	ref := s.Ref
	if ref != "" {
		s = d.api.Components.Schemas.SchemaFromRef(ref)
	}
	if len(s.Examples) > 0 {
		if text, err := json.Marshal(s.Examples[0]); err == nil {
			return string(text)
		}
	}
	switch {
	case len(s.Enum) > 0:
		text, _ := json.Marshal(s.Enum[0])
		return string(text)
	case s.Type == huma.TypeArray && depth < exampleDepth:
		return "[" + d.example(s.Items, depth+1) + "]"
	case s.Type == huma.TypeArray:
		return "[]"
	case s.Type == huma.TypeObject && depth < exampleDepth:
		return d.objectExample(s, ref, depth)
	case s.Type == huma.TypeObject:
		return "{}"
	case s.Type == huma.TypeInteger, s.Type == huma.TypeNumber:
		return strconv.FormatFloat(max(1, deref(s.Minimum)), 'f', -1, 64)
	case s.Type == huma.TypeBoolean:
		return "true"
	case s.Format == "date-time":
		return `"2026-01-31T12:00:00Z"`
	case s.Type == huma.TypeString:
		return `"..."`
	}
	return "null"
}

func (d *docs) objectExample(s *huma.Schema, ref string, depth int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, name := range d.order(s, ref) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, d.example(s.Properties[name], depth+1))
	}
	if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
		fmt.Fprintf(&b, `"...":%s`, d.example(of, depth+1))
	}
	b.WriteByte('}')
	return b.String()
}

func deref(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func indented(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}

func compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package loop

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// PolicyChange is one key in which two policies differ.
type PolicyChange struct {
	// Key is its path; of a pin or ban it names the slice: pins[light=low].
	Key string `json:"key"`
	// From and To are its values; empty where there is none.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (c PolicyChange) String() string {
	switch {
	case c.From == "":
		return c.Key + ": " + c.To
	case c.To == "":
		return c.Key + " removed"
	}
	return c.Key + " " + c.From + " → " + c.To
}

// Changes lists what another policy has otherwise, in the order of a document;
// defaults are spelt out, versions are no difference.
func (p *Policy) Changes(other *Policy) []PolicyChange {
	return policyChanges(nil, "", reflect.ValueOf(*p), reflect.ValueOf(*other))
}

var overrideList = reflect.TypeFor[[]Override]()

func policyChanges(out []PolicyChange, path string, a, b reflect.Value) []PolicyChange {
	for i := range a.NumField() {
		key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if path != "" {
			key = path + "." + key
		}
		switch x, y := a.Field(i), b.Field(i); {
		case key == "version" || reflect.DeepEqual(x.Interface(), y.Interface()):
		case x.Kind() == reflect.Struct:
			out = policyChanges(out, key, x, y)
		case x.Type() == overrideList:
			out = overrideChanges(out, key, x.Interface().([]Override), y.Interface().([]Override))
		default:
			out = append(out, PolicyChange{Key: key, From: settingText(x), To: settingText(y)})
		}
	}
	return out
}

// overrideChanges compares lists by slice: their order means nothing.
func overrideChanges(out []PolicyChange, list string, a, b []Override) []PolicyChange {
	for i := range a {
		c := PolicyChange{Key: list + "[" + a[i].Words() + "]", From: a[i].Settings()}
		if j := overrideOf(b, a[i].Slice); j >= 0 {
			c.To = b[j].Settings()
		}
		if c.From != c.To {
			out = append(out, c)
		}
	}
	for j := range b {
		if overrideOf(a, b[j].Slice) < 0 {
			out = append(out, PolicyChange{Key: list + "[" + b[j].Words() + "]", To: b[j].Settings()})
		}
	}
	return out
}

func settingText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return ""
		}
		if text, err := json.Marshal(v.Interface()); err == nil {
			return string(text)
		}
	default:
	}
	return fmt.Sprint(v.Interface())
}

func overrideOf(all []Override, slice map[string]string) int {
	return slices.IndexFunc(all, func(o Override) bool { return maps.Equal(o.Slice, slice) })
}

//go:build duckdb_arrow && cgo

package analytics

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// jsonValue makes a value of DuckDB one that encoding/json writes sensibly, as
// Answer.Rows says. The type is DuckDB's name of it, or empty inside another
// value.
func jsonValue(value any, kind string) any {
	switch x := value.(type) {
	case nil, bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, string, json.Number:
		return x
	case float32:
		// By its own digits: 0.1 must not become 0.10000000149011612.
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return jsonFloat(f)
		}
		return json.Number(strconv.FormatFloat(float64(x), 'g', -1, 32))
	case float64:
		return jsonFloat(x)
	case *big.Int:
		switch {
		case x == nil:
			return nil
		case x.IsInt64():
			return x.Int64()
		case x.IsUint64():
			return x.Uint64()
		}
		return x.String()
	case duckdb.Decimal:
		return json.Number(x.String())
	case time.Time:
		switch kind {
		case "DATE":
			return x.UTC().Format(time.DateOnly)
		case "TIME":
			return x.UTC().Format("15:04:05.999999999")
		case "TIMETZ", "TIME WITH TIME ZONE":
			return x.Format("15:04:05.999999999Z07:00")
		}
		return x.UTC().Format(time.RFC3339Nano)
	case duckdb.Interval:
		return iso8601(x)
	case []byte:
		if kind == "UUID" && len(x) == len(duckdb.UUID{}) {
			id := duckdb.UUID(x)
			return id.String()
		}
		return base64.StdEncoding.EncodeToString(x)
	case duckdb.UUID:
		return x.String()
	case duckdb.Bit:
		return x.String()
	case duckdb.Union:
		return jsonValue(x.Value, "")
	case []any:
		list := make([]any, len(x))
		element := strings.TrimSuffix(kind, "[]")
		for i := range x {
			list[i] = jsonValue(x[i], element)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(x))
		for key, field := range x {
			object[key] = jsonValue(field, "")
		}
		return object
	case duckdb.OrderedMap:
		return jsonMap(x)
	default:
		return fmt.Sprint(x)
	}
}

func jsonFloat(x float64) any {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "Infinity"
	case math.IsInf(x, -1):
		return "-Infinity"
	}
	return x
}

// jsonMap is an object if the keys are texts, else a list of keys and values.
func jsonMap(m duckdb.OrderedMap) any {
	keys, values := m.Keys(), m.Values()
	object := make(map[string]any, len(keys))
	var list []any
	for i, key := range keys {
		value := jsonValue(values[i], "")
		if text, ok := key.(string); ok {
			object[text] = value
		}
		list = append(list, map[string]any{"key": jsonValue(key, ""), "value": value})
	}
	if len(object) < len(keys) {
		return list
	}
	return object
}

// iso8601 writes a duration as P1M2DT3.5S; months and days are no fixed time,
// so they stay by themselves.
func iso8601(x duckdb.Interval) string {
	var b strings.Builder
	b.WriteByte('P')
	if x.Months != 0 {
		fmt.Fprintf(&b, "%dM", x.Months)
	}
	if x.Days != 0 {
		fmt.Fprintf(&b, "%dD", x.Days)
	}
	if x.Micros != 0 || b.Len() == 1 {
		seconds := new(big.Rat).SetFrac64(x.Micros, 1_000_000).FloatString(6)
		fmt.Fprintf(&b, "T%sS", strings.TrimSuffix(strings.TrimRight(seconds, "0"), "."))
	}
	return b.String()
}

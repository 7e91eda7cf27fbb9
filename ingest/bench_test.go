package ingest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const benchRows = 100_000

func benchNDJSON() []byte {
	var b bytes.Buffer
	for i := range benchRows {
		fmt.Fprintf(&b, `{"example":"e%d","group":"g%d","scenario":{"light":"low","pose":"right","size":%d.5,"glove":"yes","glove_colour":"red","glove_tint":null},"correct":%v,"loss":0.%d}`+"\n",
			i, i/10, i%20, i%3 == 0, i)
	}
	return b.Bytes()
}

func benchArrow(b *testing.B) []byte {
	schema := arrow.NewSchema([]arrow.Field{common[0], field("group", arrow.BinaryTypes.String), field("light", dictionary), field("pose", dictionary),
		field("size", arrow.PrimitiveTypes.Float64), field("glove", dictionary), field("glove_colour", dictionary), common[1], field("loss", arrow.PrimitiveTypes.Float64)}, nil)
	r := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range benchRows {
		r.Field(0).(*array.StringBuilder).Append(fmt.Sprint("e", i))
		r.Field(1).(*array.StringBuilder).Append(fmt.Sprint("g", i/10))
		for j, level := range map[int]string{2: "low", 3: "right", 5: "yes", 6: "red"} {
			if err := r.Field(j).(*array.BinaryDictionaryBuilder).AppendString(level); err != nil {
				b.Fatal(err)
			}
		}
		r.Field(4).(*array.Float64Builder).Append(float64(i % 20))
		r.Field(7).(*array.BooleanBuilder).Append(i%3 == 0)
		r.Field(8).(*array.Float64Builder).Append(.5)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(r.NewRecordBatch()); err != nil {
		b.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name   string
		decode decodeFunc
		body   []byte
	}{{"ndjson", decodeNDJSON, benchNDJSON()}, {"arrow", decodeArrow, benchArrow(b)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				rows := newBuilder(testSpace(), nil, &mistakes{limit: 20}, benchRows)
				if err := c.decode(bytes.NewReader(c.body), rows); err != nil || len(rows.outcomes) != benchRows {
					b.Fatal(err, rows.mistakes.list)
				}
			}
			b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkGroups: many posters of small posts; the world answers at once, so
// this is what the group commit itself costs.
func BenchmarkGroups(b *testing.B) {
	w := newWorld()
	c := newCommitter(w, 250_000)
	c.linger, c.logger = 1, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	c.open, c.work = true, ctx
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.submit(ctx, w.space, rowsOf("k", 1)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/float64(max(w.appends, 1)), "posts/append")
}

package shapes

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"hone/api"
)

// outcomes are the judgements on one evaluation version, row by row.
type outcomes struct {
	evalSet    string
	rows       []api.ManifestRow
	judgements []Judgement
}

var outcomeSchema = arrow.NewSchema([]arrow.Field{
	{Name: "sample", Type: arrow.BinaryTypes.String},
	{Name: "example", Type: arrow.BinaryTypes.String},
	{Name: "group", Type: arrow.BinaryTypes.String},
	{Name: "correct", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "loss", Type: arrow.PrimitiveTypes.Float64},
}, nil)

// arrow encodes the outcomes as an Arrow IPC stream; equal outcomes give equal
// bytes. Each picture is an example and a group of its own, named by its place
// in the evaluation set.
func (o *outcomes) arrow() ([]byte, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, outcomeSchema)
	defer b.Release()
	for i, row := range o.rows {
		example := fmt.Sprintf("r%d-c%d-i%d", row.Round, row.Component, row.Index)
		b.Field(0).(*array.StringBuilder).Append(row.Digest.String())
		b.Field(1).(*array.StringBuilder).Append(example)
		b.Field(2).(*array.StringBuilder).Append(example)
		b.Field(3).(*array.BooleanBuilder).Append(o.judgements[i].Correct)
		b.Field(4).(*array.Float64Builder).Append(o.judgements[i].Loss)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var body bytes.Buffer
	w := ipc.NewWriter(&body, ipc.WithSchema(outcomeSchema))
	if err := w.Write(batch); err != nil {
		return nil, fmt.Errorf("encode outcomes: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode outcomes: %w", err)
	}
	return body.Bytes(), nil
}

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/fxamacker/cbor/v2"

	"hone/loop"
)

// subprotocol is what the hub of package gpuworker speaks. The frames below are
// the worker's half of it, written once more: an agent keeps what it makes on its
// own disk and runs generators, which is what a thousand of them would measure on
// one machine.
const subprotocol = "hone.v1"

type wireFrame struct {
	Version   int           `cbor:"0,keyasint"`
	Hello     *wireHello    `cbor:"1,keyasint,omitempty"`
	Welcome   *wireGreeting `cbor:"2,keyasint,omitempty"`
	Credit    *wireCredit   `cbor:"3,keyasint,omitempty"`
	Lease     *wireLeases   `cbor:"5,keyasint,omitempty"`
	Delivery  *wireDelivery `cbor:"6,keyasint,omitempty"`
	Staged    *wireAnswer   `cbor:"7,keyasint,omitempty"`
	Committed *wireAnswer   `cbor:"8,keyasint,omitempty"`
	Again     *wireAnswer   `cbor:"9,keyasint,omitempty"`
	Refused   *wireAnswer   `cbor:"10,keyasint,omitempty"`
	Later     *wireAnswer   `cbor:"11,keyasint,omitempty"`
	Error     *wireFault    `cbor:"15,keyasint,omitempty"`
}

type wireHello struct {
	Name       string          `cbor:"1,keyasint"`
	Instance   string          `cbor:"2,keyasint"`
	Slots      int             `cbor:"3,keyasint"`
	Type       string          `cbor:"4,keyasint,omitempty"`
	Generators []wireGenerator `cbor:"5,keyasint"`
}

type wireGenerator struct {
	Name    string `cbor:"1,keyasint"`
	Version string `cbor:"2,keyasint"`
}

type wireGreeting struct {
	Small int `cbor:"1,keyasint,omitempty"`
}

type wireCredit struct {
	Free int `cbor:"1,keyasint"`
}

type wireLeases struct {
	Leases []wireLease `cbor:"1,keyasint"`
}

type wireLease struct {
	Unit wireUnit `cbor:"1,keyasint"`
}

type wireUnit struct {
	Campaign  string `cbor:"1,keyasint"`
	Domain    uint8  `cbor:"2,keyasint"`
	Round     int    `cbor:"3,keyasint"`
	Component int    `cbor:"4,keyasint"`
	Attempt   int    `cbor:"5,keyasint"`
	First     uint64 `cbor:"6,keyasint"`
	Count     int    `cbor:"7,keyasint"`
}

func (u wireUnit) loop() loop.Unit {
	return loop.Unit{Campaign: u.Campaign, Domain: loop.Domain(u.Domain), Round: u.Round, Component: u.Component,
		Attempt: u.Attempt, First: u.First, Count: u.Count}
}

type wireDelivery struct {
	Worker    string        `cbor:"1,keyasint"`
	Unit      wireUnit      `cbor:"2,keyasint"`
	Generator wireGenerator `cbor:"3,keyasint"`
	Millis    int64         `cbor:"4,keyasint"`
	Rows      []byte        `cbor:"5,keyasint"`
	Bundle    []byte        `cbor:"6,keyasint,omitempty"`
}

type wireAnswer struct {
	Unit    wireUnit `cbor:"1,keyasint"`
	Problem string   `cbor:"2,keyasint,omitempty"`
}

type wireFault struct {
	Problem string `cbor:"3,keyasint"`
}

func encodeFrame(f wireFrame) []byte {
	f.Version = 1
	b, err := cbor.Marshal(f)
	if err != nil {
		panic(err) // nothing in a frame can fail to encode
	}
	return b
}

// rowStream is an Arrow stream of so many rows, as a delivery has them, with the
// places in it that differ between units.
type rowStream struct {
	stream                        []byte
	index, digest, offset, length int
	count                         int
}

func newRowStream(count int) (*rowStream, error) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "index", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "digest", Type: &arrow.FixedSizeBinaryType{ByteWidth: len(loop.Digest{})}},
		{Name: "offset", Type: arrow.PrimitiveTypes.Int64},
		{Name: "length", Type: arrow.PrimitiveTypes.Int64},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	// Values that stand nowhere else mark where each column begins.
	marks := [4]uint64{0x1B4E81B4E81B4E81, 0x2B4E81B4E81B4E82, 0x3B4E81B4E81B4E83, 0x4B4E81B4E81B4E84}
	var digest loop.Digest
	binary.LittleEndian.PutUint64(digest[:], marks[1])
	for range count {
		b.Field(0).(*array.Uint64Builder).Append(marks[0])
		b.Field(1).(*array.FixedSizeBinaryBuilder).Append(digest[:])
		b.Field(2).(*array.Int64Builder).Append(int64(marks[2]))
		b.Field(3).(*array.Int64Builder).Append(int64(marks[3]))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	r := &rowStream{stream: out.Bytes(), count: count}
	for i, to := range []*int{&r.index, &r.digest, &r.offset, &r.length} {
		*to = bytes.Index(r.stream, binary.LittleEndian.AppendUint64(nil, marks[i]))
		if *to < 0 {
			return nil, errors.New("rows: the stream does not hold its columns as they are")
		}
	}
	return r, nil
}

// of is the stream for samples.
func (r *rowStream) of(samples []loop.Staged) []byte {
	b := bytes.Clone(r.stream)
	for i, s := range samples {
		binary.LittleEndian.PutUint64(b[r.index+8*i:], s.Index)
		copy(b[r.digest+len(s.Digest)*i:], s.Digest[:])
		binary.LittleEndian.PutUint64(b[r.offset+8*i:], uint64(s.Offset))
		binary.LittleEndian.PutUint64(b[r.length+8*i:], uint64(s.Length))
	}
	return b
}

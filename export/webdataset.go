package export

import (
	"encoding/json"
	"fmt"
	"io"

	"hone/api"
	"hone/loop"
)

// metadataMember is what Hone knows of a sample, beside the members that the
// generator made. WebDataset's decoders go by what follows the last dot, so it
// is read as JSON, and does not clash with a member such as label.json.
const metadataMember = "hone.json"

// webDataset writes a shard in WebDataset layout: the members of a sample are
// adjacent and named KEY.EXT, with canonical headers, without a time or owner.
type webDataset struct {
	to      io.Writer
	entries []byte
}

func beginWebDataset(to io.Writer, _ *Export, _ []string) (shardWriter, error) {
	return &webDataset{to: to}, nil
}

func (w *webDataset) write(row *api.Row, s *api.Sample) error {
	if s.Member(metadataMember) != nil {
		return fmt.Errorf("the sample has a member %s of its own, where its metadata goes: %w", metadataMember, errMember)
	}
	metadata, err := json.Marshal(row)
	if err != nil {
		return err
	}
	entries, _, err := loop.AppendSample(w.entries[:0], row.Key, s.Members)
	if err != nil {
		return err
	}
	if w.entries, _, err = loop.AppendSample(entries, row.Key, []loop.Member{{Ext: metadataMember, Bytes: metadata}}); err != nil {
		return err
	}
	_, err = w.to.Write(w.entries)
	return err
}

func (w *webDataset) end() error {
	_, err := w.to.Write(loop.AppendEnd(nil))
	return err
}

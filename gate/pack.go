package gate

import (
	"context"
	"io"
	"slices"

	"hone/loop"
)

// packer gathers accepted samples into packs.
type packer struct {
	lake   Lake
	epoch  uint64
	limit  int64
	judged []loop.Judged
	open   map[group]*pack
	order  []group
}

// group is what shares packs.
type group struct {
	campaign string
	domain   loop.Domain
}

// pack is one that is being filled.
type pack struct {
	entries []entry
	bytes   int64
	// names are what it holds. Two workers may bring the same sample at once; in
	// one tar a reader would take the two for one, with every member twice.
	names map[loop.Name]bool
}

// entry is one sample in a pack: whose row it is, and its bytes.
type entry struct {
	delivery, sample int
	bytes            []byte
}

// add enters the accepted samples of a delivery, in index order.
func (p *packer) add(ctx context.Context, delivery int, samples [][]byte) {
	unit := &p.judged[delivery].Delivery.Unit
	g := group{unit.Campaign, unit.Domain}
	open := p.open[g]
	if open == nil {
		open = &pack{}
		p.open[g] = open
		p.order = append(p.order, g)
	}
	rows := p.judged[delivery].Samples // which a failure on the way would take away
	for i, b := range samples {
		name := rows[i].Name
		if open.names[name] || len(open.entries) == loop.MaxUnit || len(open.entries) > 0 && open.bytes+int64(len(b)) > p.limit {
			p.put(ctx, open)
		}
		if open.names == nil {
			open.names = make(map[loop.Name]bool)
		}
		open.names[name] = true
		open.entries = append(open.entries, entry{delivery, i, b})
		open.bytes += int64(len(b))
	}
}

// flush puts all that is open, in the order in which the groups came.
func (p *packer) flush(ctx context.Context) {
	for _, g := range p.order {
		p.put(ctx, p.open[g])
	}
}

// put writes one pack, gives its samples their addresses, and empties it. A
// failure is that of every delivery with a sample in it.
func (p *packer) put(ctx context.Context, open *pack) {
	// A delivery may have failed since, with an earlier pack of its samples: the
	// rest of it is not worth writing.
	entries := slices.DeleteFunc(open.entries, func(e entry) bool { return p.judged[e.delivery].Err != nil })
	*open = pack{}
	if len(entries) == 0 {
		return
	}
	object, err := p.lake.PutPack(ctx, p.epoch, int64(len(entries)), func(w io.Writer) error {
		for _, e := range entries {
			if _, err := w.Write(e.bytes); err != nil {
				return err
			}
		}
		_, err := w.Write(loop.AppendEnd(nil))
		return err
	})
	offset := int64(0)
	for _, e := range entries {
		j := &p.judged[e.delivery]
		if err != nil {
			if j.Err == nil {
				fail(j, err)
			}
			continue
		}
		j.Samples[e.sample].Address = loop.Address{Key: object.Key, Offset: offset, Length: int64(len(e.bytes))}
		offset += int64(len(e.bytes))
		if len(j.Packs) == 0 || j.Packs[len(j.Packs)-1].Key != object.Key {
			j.Packs = append(j.Packs, object)
		}
	}
}

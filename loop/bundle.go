package loop

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// A sample's bytes, staged or packed, are a run of USTAR entries: one per
// member, adjacent, named KEY.EXT, ascending by EXT, with canonical headers.
// There is exactly one encoding of a key and its members, so that a bundle or
// pack of equal samples has equal bytes, and any tar reader can unpack it.

// Member is one file of a sample: what the generator calls it, and its bytes.
type Member struct {
	// Ext is what follows the key in the name of the file, e.g. "image.png":
	// words of lower-case letters, digits, '_' and '-', joined by single dots, at
	// most MaxExt bytes.
	Ext   string
	Bytes []byte
}

// Bounds of a sample.
const (
	MaxMembers = 64
	MaxExt     = 32
	// maxKey leaves room for a dot and the longest extension in the 100 bytes of
	// a USTAR name.
	maxKey = 64
)

const tarBlock = 512

// AppendSample appends the sample's tar entries to dst and returns the longer
// slice and the sample's digest; the sample lies at offset len(dst) and has as
// many bytes as were appended. The order of members does not matter. It refuses
// a sample that ReadSample would refuse, and then returns dst as it was.
func AppendSample(dst []byte, key string, members []Member) ([]byte, Digest, error) {
	if !validKey(key) {
		return dst, Digest{}, refuse("key", "%q is not a sample's key", key).
			remedy("1 to %d letters, digits, '_' or '-'", maxKey)
	}
	sorted, err := sortMembers(members)
	if err != nil {
		return dst, Digest{}, err
	}
	size := 0
	for _, m := range sorted {
		size += tarBlock + padded(len(m.Bytes))
	}
	if size > MaxSampleBytes {
		return dst, Digest{}, refuse("members", "the sample has %d bytes; at most %d are allowed", size, MaxSampleBytes)
	}
	dst = slices.Grow(dst, size)
	for _, m := range sorted {
		dst = appendHeader(dst, key+"."+m.Ext, len(m.Bytes))
		dst = append(dst, m.Bytes...)
		dst = append(dst, zeroBlock[:padded(len(m.Bytes))-len(m.Bytes)]...)
	}
	return dst, digestSorted(sorted), nil
}

// AppendEnd appends the two zero blocks that end a tar.
func AppendEnd(dst []byte) []byte {
	return append(append(dst, zeroBlock[:]...), zeroBlock[:]...)
}

// SampleDigest is the digest of a sample's content: SHA-256 over the tag
// hone/sample/1 and, for each member by ascending extension, the lengths (8
// bytes, big-endian) and bytes of its extension and content. Neither the key nor
// the order of members matters. It refuses members that AppendSample refuses.
func SampleDigest(members []Member) (Digest, error) {
	sorted, err := sortMembers(members)
	if err != nil {
		return Digest{}, err
	}
	return digestSorted(sorted), nil
}

// ReadSample reads the entries of exactly one sample and computes its digest
// anew. It accepts what AppendSample writes and nothing else: no link, directory
// or extended header, no path in a name, no second key, no byte before, between
// or behind the entries, no end-of-archive blocks. It refuses more than limit
// bytes unread. Members alias b and ascend by extension.
func ReadSample(b []byte, limit int) (key string, members []Member, digest Digest, err error) {
	fail := func(err *Error) (string, []Member, Digest, error) { return "", nil, Digest{}, err }
	if len(b) == 0 {
		return fail(refuse("sample", "no bytes"))
	}
	if len(b) > min(limit, MaxSampleBytes) {
		return fail(refuse("sample", "%d bytes; at most %d are allowed", len(b), min(limit, MaxSampleBytes)))
	}
	for offset := 0; offset < len(b); {
		if len(members) == MaxMembers {
			return fail(refuse("sample", "more than %d members", MaxMembers))
		}
		name, size, err := readHeader(b, offset)
		if err != nil {
			return fail(err)
		}
		k, ext, _ := strings.Cut(name, ".")
		if !validKey(k) || !validExt(ext) {
			return fail(refuse("sample", "%q is not KEY.EXT", name).
				remedy("a key, a dot, and an extension of lower-case words"))
		}
		if len(members) == 0 {
			key = k
		} else if k != key {
			return fail(refuse("sample", "members of two samples: %q and %q", key, k))
		} else if last := members[len(members)-1].Ext; ext <= last {
			return fail(refuse("sample", "member %q stands behind %q", ext, last).remedy("members ascend by extension, each once"))
		}
		offset += tarBlock
		if padded(size) > len(b)-offset {
			return fail(refuse("sample", "member %q is cut off: it has %d bytes, %d are left", ext, size, len(b)-offset))
		}
		content, padding := b[offset:offset+size:offset+size], b[offset+size:offset+padded(size)]
		if !isZero(padding) {
			return fail(refuse("sample", "member %q is not padded with zeros", ext))
		}
		members = append(members, Member{Ext: ext, Bytes: content})
		offset += padded(size)
	}
	return key, members, digestSorted(members), nil
}

// readHeader reads the header block at offset. Rather than understand all that
// tar can say, it takes name and size and demands the very block that
// appendHeader writes for them; only the refusals know more.
func readHeader(b []byte, offset int) (name string, size int, refusal *Error) {
	if len(b)-offset < tarBlock {
		return "", 0, refuse("sample", "%d bytes are left, less than a header", len(b)-offset)
	}
	block := b[offset : offset+tarBlock]
	if isZero(block) {
		return "", 0, refuse("sample", "a block of zeros where a member should be").
			remedy("a sample's bytes end with its last member")
	}
	raw := block[:100]
	if end := strings.IndexByte(string(raw), 0); end >= 0 {
		raw = raw[:end]
	}
	name = string(raw)
	switch kind := block[156]; kind {
	case '0':
	case '1', '2':
		return "", 0, refuse("sample", "%q is a link", name).remedy("only plain files are allowed")
	case '5':
		return "", 0, refuse("sample", "%q is a directory", name).remedy("only plain files are allowed")
	default:
		return "", 0, refuse("sample", "%q has type %q", name, string(kind)).remedy("only plain USTAR files are allowed")
	}
	for _, c := range block[124:135] {
		if c < '0' || c > '7' {
			return "", 0, refuse("sample", "the size of %q is not eleven octal digits", name)
		}
		size = size<<3 | int(c-'0')
		if size > MaxSampleBytes {
			return "", 0, refuse("sample", "%q has more than %d bytes", name, MaxSampleBytes)
		}
	}
	if name == "" || string(appendHeader(nil, name, size)) != string(block) {
		return "", 0, refuse("sample", "the header of %q is not canonical", name).
			remedy("USTAR, mode 0644, owner 0, group 0, time 0, no names")
	}
	return name, size, nil
}

// appendHeader appends a USTAR header block. It is written out here, not left
// to archive/tar, because the keys of packs depend on every byte of it.
func appendHeader(dst []byte, name string, size int) []byte {
	var h [tarBlock]byte
	copy(h[0:100], name)
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	octal(h[124:135], size)
	copy(h[136:], "00000000000\x00")
	copy(h[148:], "        ") // the checksum counts itself as spaces
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00")
	copy(h[337:], "0000000\x00")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	octal(h[148:154], sum)
	h[154] = 0
	return append(dst, h[:]...)
}

func octal(field []byte, n int) {
	for i := len(field) - 1; i >= 0; i-- {
		field[i] = '0' + byte(n&7)
		n >>= 3
	}
}

func sortMembers(members []Member) ([]Member, error) {
	if len(members) == 0 || len(members) > MaxMembers {
		return nil, refuse("members", "%d members; 1 to %d are allowed", len(members), MaxMembers)
	}
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int { return strings.Compare(a.Ext, b.Ext) })
	for i, m := range sorted {
		if !validExt(m.Ext) {
			return nil, refuse("members", "%q is not an extension", m.Ext).
				remedy("lower-case letters, digits, '_' and '-', words joined by dots, at most %d bytes", MaxExt)
		}
		if i > 0 && m.Ext == sorted[i-1].Ext {
			return nil, refuse("members", "two members are called %q", m.Ext)
		}
		if len(m.Bytes) > MaxSampleBytes {
			return nil, refuse("members", "member %q has %d bytes; at most %d are allowed", m.Ext, len(m.Bytes), MaxSampleBytes)
		}
	}
	return sorted, nil
}

func digestSorted(members []Member) Digest {
	h := sha256.New()
	h.Write([]byte("hone/sample/1"))
	var n [8]byte
	for _, m := range members {
		binary.BigEndian.PutUint64(n[:], uint64(len(m.Ext)))
		h.Write(n[:])
		h.Write([]byte(m.Ext))
		binary.BigEndian.PutUint64(n[:], uint64(len(m.Bytes)))
		h.Write(n[:])
		h.Write(m.Bytes)
	}
	return Digest(h.Sum(nil))
}

// A key holds no dot: WebDataset splits a name at the first one.
func validKey(key string) bool {
	if key == "" || len(key) > maxKey {
		return false
	}
	for _, c := range []byte(key) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

func validExt(ext string) bool {
	if ext == "" || len(ext) > MaxExt {
		return false
	}
	for word := range strings.SplitSeq(ext, ".") {
		if word == "" {
			return false
		}
		for _, c := range []byte(word) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
				return false
			}
		}
	}
	return true
}

var zeroBlock [tarBlock]byte

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// padded is n rounded up to whole tar blocks.
func padded(n int) int { return (n + tarBlock - 1) &^ (tarBlock - 1) }

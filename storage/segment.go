package storage

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// A segment is full, and the next one begins, at so many messages or bytes.
const (
	segmentRows  = 4096
	segmentBytes = 4 << 20
)

// noSlot is the slot of a segment of which nothing stands in the file.
const noSlot = -1

// segment is the index in RAM of one table of the ring. A position is the place
// of a message in its segment, from 0. Protected by Spool.mu.
type segment struct {
	slot    int // of which table, or noSlot
	base    mqtt.MsgID
	offsets []uint32 // ID minus base by position; nil while that is the position
	sizes   []uint32 // bytes of payload plus 1 by position; 0 when there is no row
	bytes   int64    // of the rows, about
	sealSeq uint64   // of the op that seals it
	sealed  bool     // nothing is added any more, and all that was added has been given to the writer
	written int      // positions below this have been given to the writer
	tail    []*entry // by position: the messages that are in RAM
	cached  int      // of the tail, those not nil
	parts   map[session.ID]*part
	merging bool // its rows are being moved to another segment: they may stand here or there
	gone    bool // freed or merged into another one
	torn    bool // its table is damaged

	recount    bool // alive and aliveBytes are out of date
	alive      int  // messages that somebody is owed; only of a sealed segment
	aliveBytes int64
}

// part is what one session is owed of one segment. Protected by Spool.mu.
type part struct {
	seg   *segment
	owner session.ID
	all   bool     // every row of the segment; words is nil then
	words []uint64 // a bit a position
	n     int      // bits set
	bytes int64    // of payload that the bits stand for
	dirty bool     // differs from the file and is in Spool.dirty
	dead  bool     // the session has ended
}

func newSegment(base mqtt.MsgID) *segment {
	return &segment{slot: noSlot, base: base, parts: map[session.ID]*part{}}
}

// add gives the next message its position.
func (g *segment) add(id mqtt.MsgID, size int) int {
	pos := len(g.sizes)
	g.place(pos, id, size)
	return pos
}

// place puts a message at its position; positions that were left out below have no row.
func (g *segment) place(pos int, id mqtt.MsgID, size int) {
	offset := uint32(id - g.base)
	if g.offsets == nil && (offset != uint32(pos) || len(g.sizes) != pos) {
		g.offsets = make([]uint32, len(g.sizes), pos+1)
		for i := range g.offsets {
			g.offsets[i] = uint32(i)
		}
	}
	g.leaveOut(pos)
	if g.offsets != nil {
		g.offsets = append(g.offsets, offset)
	}
	g.sizes = append(g.sizes, uint32(size)+1)
}

// leaveOut lets the next message have that position at least.
func (g *segment) leaveOut(pos int) {
	for len(g.sizes) < pos {
		if g.offsets != nil {
			hole := uint32(0)
			if n := len(g.offsets); n > 0 {
				hole = g.offsets[n-1] + 1 // IDs rise at least as fast as positions
			}
			g.offsets = append(g.offsets, hole)
		}
		g.sizes = append(g.sizes, 0)
	}
}

// takes tells whether a message of that ID still fits.
func (g *segment) takes(id mqtt.MsgID) bool {
	return !g.sealed && len(g.sizes) < segmentRows && g.bytes < segmentBytes && id-g.base < math.MaxUint32
}

func (g *segment) id(pos int) mqtt.MsgID {
	if g.offsets == nil {
		return g.base + mqtt.MsgID(pos)
	}
	return g.base + mqtt.MsgID(g.offsets[pos])
}

// last gives the highest ID, one below base for an empty segment.
func (g *segment) last() mqtt.MsgID {
	if len(g.sizes) == 0 {
		return g.base - 1
	}
	return g.id(len(g.sizes) - 1)
}

// after gives the first position whose ID is above id.
func (g *segment) after(id mqtt.MsgID) int {
	if id < g.base {
		return 0
	}
	if g.offsets == nil {
		return int(min(id-g.base+1, mqtt.MsgID(len(g.sizes))))
	}
	return sort.Search(len(g.offsets), func(i int) bool { return g.id(i) > id })
}

// find gives the position of a message, -1 when it has no row here.
func (g *segment) find(id mqtt.MsgID) int {
	if id < g.base || id > g.last() {
		return -1
	}
	pos := g.after(id) - 1
	if pos < 0 || g.id(pos) != id || g.sizes[pos] == 0 {
		return -1
	}
	return pos
}

// size gives the bytes of payload of the message at the position.
func (g *segment) size(pos int) int { return int(g.sizes[pos]) - 1 }

// cachedAt gives the message at the position when it is in RAM, nil otherwise.
func (g *segment) cachedAt(pos int) *entry {
	if pos >= len(g.tail) {
		return nil
	}
	return g.tail[pos]
}

func (g *segment) cache(pos int, e *entry) {
	for len(g.tail) <= pos {
		g.tail = append(g.tail, nil)
	}
	g.tail[pos] = e
	g.cached++
}

func (g *segment) uncache(pos int) {
	if g.cachedAt(pos) == nil {
		return
	}
	g.tail[pos] = nil
	if g.cached--; g.cached == 0 && g.sealed {
		g.tail = nil
	}
}

// living gives the positions that somebody is owed, as bits, with their number and bytes of payload.
func (g *segment) living() (words []uint64, n int, bytes int64) {
	words = make([]uint64, (len(g.sizes)+63)/64)
	for _, p := range g.parts {
		for pos := p.next(0); pos >= 0; pos = p.next(pos + 1) {
			words[pos/64] |= 1 << (pos % 64)
		}
	}
	for i, w := range words {
		n += bits.OnesCount64(w)
		for ; w != 0; w &= w - 1 {
			bytes += int64(g.size(i*64 + bits.TrailingZeros64(w)))
		}
	}
	return words, n, bytes
}

// rows gives the number of rows in the table.
func (g *segment) rows() int {
	n := 0
	for _, size := range g.sizes {
		if size != 0 {
			n++
		}
	}
	return n
}

// appendRows writes the index of a sealed segment: for each position how far the
// ID is from the one before, and the size. appendRows and decodeRows belong together.
func (g *segment) appendRows(dst []byte) []byte {
	dst = append(dst, bodyVersion)
	dst = binary.AppendUvarint(dst, uint64(len(g.sizes)))
	before := g.base
	for pos, size := range g.sizes {
		id := g.id(pos)
		dst = binary.AppendUvarint(dst, uint64(id-before))
		dst = binary.AppendUvarint(dst, uint64(size))
		before = id
	}
	return dst
}

func (g *segment) decodeRows(raw []byte) error {
	r := reader{rest: raw}
	version := r.byte()
	n := int(r.uvarint(segmentRows))
	offset := uint64(0)
	contiguous := true
	offsets, sizes := make([]uint32, n), make([]uint32, n)
	for pos := range n {
		offset += r.uvarint(math.MaxUint32)
		offsets[pos], sizes[pos] = uint32(offset), uint32(r.uvarint(math.MaxUint32))
		contiguous = contiguous && offset == uint64(pos)
	}
	if r.bad || version != bodyVersion || offset > math.MaxUint32 {
		return fmt.Errorf("index of segment %d: %w", g.slot, errDamaged)
	}
	g.sizes = sizes
	if !contiguous {
		g.offsets = offsets
	}
	return nil
}

// owe sets the bit of a position that is not set.
func (p *part) owe(pos int) {
	for len(p.words) <= pos/64 {
		p.words = append(p.words, 0)
	}
	p.words[pos/64] |= 1 << (pos % 64)
	p.n++
	p.bytes += int64(p.seg.size(pos))
}

func (p *part) has(pos int) bool {
	if p.all {
		return p.seg.sizes[pos] != 0
	}
	return pos/64 < len(p.words) && p.words[pos/64]&(1<<(pos%64)) != 0
}

// settle clears the bit of a position that is set.
func (p *part) settle(pos int) {
	if p.all {
		p.words = make([]uint64, (len(p.seg.sizes)+63)/64)
		for i, size := range p.seg.sizes {
			if size != 0 {
				p.words[i/64] |= 1 << (i % 64)
			}
		}
		p.all = false
	}
	p.words[pos/64] &^= 1 << (pos % 64)
	p.n--
	p.bytes -= int64(p.seg.size(pos))
}

// next gives the first position from pos that is owed, -1 when there is none.
func (p *part) next(pos int) int {
	if p.all {
		for ; pos < len(p.seg.sizes); pos++ {
			if p.seg.sizes[pos] != 0 {
				return pos
			}
		}
		return -1
	}
	i := pos / 64
	if i >= len(p.words) {
		return -1
	}
	for w := p.words[i] &^ (1<<(pos%64) - 1); ; w = p.words[i] {
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
		if i++; i == len(p.words) {
			return -1
		}
	}
}

// seal gives up the bitmap when every row is owed.
func (p *part) seal(rows int) {
	if p.n == rows {
		p.all, p.words = true, nil
		return
	}
	p.words = slices.Clip(p.words)
}

// appendBits writes the bitmap for the first covered positions: how many those
// are, the first word that is not zero, and the words up to the last one that is not.
func (p *part) appendBits(dst []byte, covered int) []byte {
	words := p.words[:min(len(p.words), (covered+63)/64)]
	first := 0
	for len(words) > 0 && words[len(words)-1] == 0 {
		words = words[:len(words)-1]
	}
	for first < len(words) && words[first] == 0 {
		first++
	}
	dst = append(dst, bodyVersion)
	dst = binary.AppendUvarint(dst, uint64(covered))
	dst = binary.AppendUvarint(dst, uint64(first))
	for i, w := range words[first:] {
		if end := covered - (first+i)*64; end < 64 {
			w &= 1<<end - 1
		}
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// decodeBits reads what appendBits has written.
func decodeBits(raw []byte) (words []uint64, covered int, err error) {
	r := reader{rest: raw}
	version := r.byte()
	covered = int(r.uvarint(segmentRows))
	first := int(r.uvarint(segmentRows / 64))
	if r.bad || version != bodyVersion || len(r.rest)%8 != 0 || first+len(r.rest)/8 > segmentRows/64 {
		return nil, 0, fmt.Errorf("bitmap: %w", errDamaged)
	}
	words = make([]uint64, first, first+len(r.rest)/8)
	for len(r.rest) > 0 {
		words = append(words, r.fixed64())
	}
	return words, covered, nil
}

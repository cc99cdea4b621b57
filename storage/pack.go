package storage

import (
	"encoding/binary"
	"iter"
	"math"

	"fieldgate/broker/mqtt"
)

// A row of a segment holds one message, or several neighbours that were committed
// together: packVersion, how far the first one's ID is from that of the row, which is
// the last one's, and for each how far its ID is from the one before, its length, and
// what would be its row. SQLite takes longer over a row than over what is in it.
const packVersion = 2

// packHead is the most that comes before the first message.
const packHead = 1 + binary.MaxVarintLen32

// A pack fills what is left of the last page of its table, or a page of its own. A
// large commit begins with a new page: to write one again costs more than a piece of it.
const (
	largeBatch = 2 * pageSize // bytes, by batch.bytes

	packBytes = 4056         // the longest row that fits one page
	cellBytes = 17           // what SQLite adds to a row, at most
	pageRoom  = pageSize - 8 // of a page, for rows
)

// packer gathers neighbours of one segment for one row.
type packer struct {
	slot        int
	put         string // the statement for that slot
	room        int    // bytes of the table's last page that are free, about; 0 when that is not known
	limit       int    // bytes of the row
	n           int
	first, last mqtt.MsgID
	one         int    // where the first message begins
	row         []byte // behind packHead free bytes
	body        []byte // of the next message
}

// begin starts anew, for a commit of about so many bytes.
func (p *packer) begin(bytes int64) {
	if p.n = 0; bytes >= largeBatch {
		p.room = 0
	}
}

// fits tells whether the message joins those that are gathered.
func (p *packer) fits(slot int, id mqtt.MsgID) bool {
	return p.n > 0 && p.slot == slot && id-p.first <= math.MaxUint32 && len(p.row)+2*binary.MaxVarintLen32+len(p.body) <= p.limit
}

// add takes the message whose body is prepared.
func (p *packer) add(slot int, id mqtt.MsgID) {
	if p.n == 0 {
		if p.put == "" || p.slot != slot {
			p.slot, p.put, p.room = slot, tableSQL(slot).put, 0
		}
		if p.limit = p.room - cellBytes; p.limit < len(p.body) {
			p.limit = packBytes
		}
		p.first, p.last = id, id
		p.row = append(p.row[:0], make([]byte, packHead)...)
	}
	p.row = binary.AppendUvarint(p.row, uint64(id-p.last))
	p.row = binary.AppendUvarint(p.row, uint64(len(p.body)))
	if p.n == 0 {
		p.one = len(p.row)
	}
	p.row = append(p.row, p.body...)
	p.last = id
	p.n++
}

// take gives the row of what was gathered, nil when there is nothing.
func (p *packer) take() []byte {
	n := p.n
	if p.n = 0; n == 0 {
		return nil
	}
	row := p.row[p.one:]
	if n > 1 {
		head := binary.AppendUvarint([]byte{packVersion}, uint64(p.last-p.first))
		row = p.row[packHead-len(head):]
		copy(row, head)
	}
	if p.room < len(row)+cellBytes {
		p.room = pageRoom
	}
	p.room = max(p.room-len(row)-cellBytes, 0)
	return row
}

// putMessage writes the row of a message, or lets it wait for its neighbours.
func (w *writer) putMessage(slot int, s stored) error {
	p, id := &w.pack, s.message.ID
	p.body = appendBody(p.body[:0], s)
	if !p.fits(slot, id) {
		if err := w.putPack(); err != nil {
			return err
		}
	}
	p.add(slot, id)
	return nil
}

// putPack writes what waits for neighbours.
func (w *writer) putPack() error {
	row := w.pack.take()
	if row == nil {
		return nil
	}
	return w.c.exec(w.pack.put, int64(w.pack.last), row)
}

// unpack gives the messages of a row, by rising ID, undecoded. Where the row makes no
// sense it gives an ID without bytes, and ends.
func unpack(id mqtt.MsgID, row []byte) iter.Seq2[mqtt.MsgID, []byte] {
	return func(yield func(mqtt.MsgID, []byte) bool) {
		if len(row) == 0 || row[0] != packVersion {
			yield(id, row)
			return
		}
		r := reader{rest: row[1:]}
		at := id - mqtt.MsgID(r.uvarint(min(uint64(id), math.MaxUint32)))
		for more := true; more; more = len(r.rest) > 0 {
			at += mqtt.MsgID(r.uvarint(uint64(id - at)))
			body := r.counted()
			if r.bad {
				yield(at, nil)
				return
			}
			if !yield(at, body) {
				return
			}
		}
	}
}

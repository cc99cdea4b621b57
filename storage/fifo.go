package storage

// fifo is a list that grows at its end and shrinks at its front. What a burst has
// made it take it gives back.
type fifo[T any] struct {
	list []T
	head int // the places below are free
}

// fifoSmall is the number of places that an empty fifo keeps.
const fifoSmall = 4096

func (f *fifo[T]) len() int { return len(f.list) - f.head }

func (f *fifo[T]) push(v T) { f.list = append(f.list, v) }

// at gives the i-th from the front.
func (f *fifo[T]) at(i int) *T { return &f.list[f.head+i] }

// drop takes n off the front.
func (f *fifo[T]) drop(n int) {
	clear(f.list[f.head : f.head+n])
	f.head += n
	switch {
	case f.len() == 0 && cap(f.list) > fifoSmall:
		*f = fifo[T]{}
	case f.len() == 0:
		f.list, f.head = f.list[:0], 0
	case f.head > f.len() && f.head > fifoSmall:
		f.list, f.head = append([]T(nil), f.list[f.head:]...), 0
	}
}

package bridges

import (
	"slices"
	"strings"
)

// places tells where a board has the points of a device. It is small, for there may be thousands of points.
type places map[string]devicePlaces

// devicePlaces are the places of a device's points, which stand together in the order of the settings.
type devicePlaces struct {
	first  int
	sorted []uint32 // by the points' ids, from first on
}

func placesOf(devices []Device) places {
	all, first := make(places, len(devices)), 0
	for _, d := range devices {
		sorted := make([]uint32, len(d.Points))
		for i := range sorted {
			sorted[i] = uint32(i)
		}
		slices.SortFunc(sorted, func(a, b uint32) int { return strings.Compare(d.Points[a].ID, d.Points[b].ID) })
		all[d.ID] = devicePlaces{first: first, sorted: sorted}
		first += len(d.Points)
	}
	return all
}

// place gives the place of a point among the board's; known is false when the settings have none.
func (b *board) place(device, point string) (i int, known bool) {
	p, known := b.places[device]
	if !known {
		return 0, false
	}
	at, known := slices.BinarySearchFunc(p.sorted, point, func(i uint32, id string) int { return strings.Compare(b.points[p.first+int(i)].Point, id) })
	if !known {
		return 0, false
	}
	return p.first + int(p.sorted[at]), true
}

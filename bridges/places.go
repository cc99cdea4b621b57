package bridges

import (
	"slices"
	"strings"
)

// places tells where a board has the points of a device. It is small, for there may be thousands of points.
type places map[string]devicePlaces

// devicePlaces are the places of a device's points, which stand together in the order of the settings.
type devicePlaces struct {
	device *Device
	first  int
	sorted []uint32 // by the points' ids, from first on
}

func placesOf(devices []Device) places {
	all, first := make(places, len(devices)), 0
	for i := range devices {
		d := &devices[i]
		sorted := make([]uint32, len(d.Points))
		for i := range sorted {
			sorted[i] = uint32(i)
		}
		slices.SortFunc(sorted, func(a, b uint32) int { return strings.Compare(d.Points[a].ID, d.Points[b].ID) })
		all[d.ID] = devicePlaces{device: d, first: first, sorted: sorted}
		first += len(d.Points)
	}
	return all
}

// slot gives the place of a point; known is false when the settings have none.
func (b *board) slot(device, point string) (s slot, known bool) {
	p, known := b.places[device]
	if !known {
		return slot{}, false
	}
	at, known := slices.BinarySearchFunc(p.sorted, point, func(i uint32, id string) int { return strings.Compare(p.device.Points[i].ID, id) })
	if !known {
		return slot{}, false
	}
	i := int(p.sorted[at])
	return slot{p.device, &p.device.Points[i], &b.points[p.first+i]}, true
}

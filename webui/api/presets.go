package api

import (
	"context"
	"net/http"

	"fieldgate/bridges"
)

func (a *API) addPresets() {
	add(a, operation{
		method: http.MethodGet, path: "/uplink-presets", id: "list-uplink-presets", tag: uplinksSection, role: Viewer,
		summary: "Settings to begin an uplink with, for well-known brokers",
	}, func(context.Context, *struct{}) (*listOutput[bridges.Preset], error) {
		return listOf(a.Presets), nil
	})
}

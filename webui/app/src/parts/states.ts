// What the event stream says about all devices at once.
import { useEffect, useRef } from "preact/hooks";
import { ownChanges } from "../api";
import { live } from "../live";
import type { DeviceStatus } from "../types";

/** deviceStatuses gives the newest state of every device, by its id. */
export function deviceStatuses(): Map<string, DeviceStatus> {
  const states = new Map<string, DeviceStatus>();
  for (const b of live.picture.bridges.value.values()) {
    for (const d of b.devices ?? []) states.set(d.id, d);
  }
  return states;
}

/** useFollow calls reload when this tab changed settings, and when anybody added or removed a wire, a device or an uplink. */
export function useFollow(reload: () => void): void {
  const { bridges, uplinks } = live.picture;
  const wires = [...bridges.value.values()].map((b) => [b.id, ...(b.devices ?? []).map((d) => d.id)].join("/"));
  const shape = [ownChanges.value, ...wires, ...uplinks.value.keys()].join(" ");
  const seen = useRef(shape);
  useEffect(() => {
    if (shape === seen.current) return;
    seen.current = shape;
    reload();
  }, [shape, reload]);
}

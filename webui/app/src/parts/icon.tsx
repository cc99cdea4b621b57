// Line icons, drawn here so that the page asks no other host and needs no font.
const shapes = {
  overview: "M4 13a8 8 0 1 1 16 0M12 13l4-4M4 19h16",
  devices: "M5 4h14v10H5zM9 8h6M12 14v6M8 20h8",
  uplinks: "M7 18a4 4 0 0 1-.5-8A6 6 0 0 1 18 9.5 4.3 4.3 0 0 1 17 18M12 20v-8m-3 3 3-3 3 3",
  mqtt: "M4 20h.01M4 13a7 7 0 0 1 7 7M4 6a14 14 0 0 1 14 14",
  system: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4v6M9 14v6",
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0",
  good: "M5 13l4.5 4.5L19 7",
  stale: "M12 7v5l3 3M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  bad: "M12 4 2.8 20h18.4zM12 10v4M12 17v.5",
  waiting: "M6 12h.01M12 12h.01M18 12h.01",
  plus: "M12 5v14M5 12h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  cable: "M4 12h5M15 12h5M9 8v8h6V8zM11 8V5M13 8V5",
  pause: "M8 5v14M16 5v14",
  play: "M8 5l11 7-11 7z",
  back: "M15 5l-7 7 7 7",
  edit: "M5 19h3L19 8l-3-3L5 16z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
} as const;

export type IconName = keyof typeof shapes;

/** Icon is decoration: the word stands beside it or in the button's label. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={shapes[name]} />
    </svg>
  );
}

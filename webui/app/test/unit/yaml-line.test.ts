import { expect, it } from "vitest";
import { lineOf } from "../../src/model/yaml-line";

const yaml = `# a model
id: my-meter
serial: {baud: 9600}
points:
  - {id: a, table: input}
  # of phase 2
  - id: b
    table: inputs
    enum:
      0: off
  - {id: c}
device:
  addresses: wire
`;

it.each([
  ["", 1],
  ["/id", 2],
  ["/serial/baud", 3],
  ["/points", 4],
  ["/points/0/table", 5],
  ["/points/1", 7],
  ["/points/1/id", 7],
  ["/points/1/table", 8],
  ["/points/1/enum/0", 9],
  ["/points/2/id", 11],
  ["/points/7", 4],
  ["/device/addresses", 13],
  ["/nothing", 1],
])("%s stands on line %i", (pointer, line) => expect(lineOf(yaml, pointer)).toBe(line));

import { describe, expect, it } from "vitest";
import { hex, manualNumber, readings, type Table } from "../../src/model/address";

describe("readings", () => {
  const rows: [name: string, text: string, table: Table, want: string[]][] = [
    ["a small number is the address on the wire", "104", "holding", ["holding 104"]],
    ["zero", "0", "coil", ["coil 0"]],
    ["hexadecimal", "0x68", "holding", ["holding 104"]],
    ["hexadecimal, large and in capitals", "0XFFFF", "input", ["input 65535"]],
    [
      "five digits of the holding registers mean two things",
      "40105",
      "holding",
      ["holding 104 manual", "holding 40105"],
    ],
    ["the first holding register", "40001", "holding", ["holding 0 manual", "holding 40001"]],
    ["there is no register 40000 in manuals", "40000", "holding", ["holding 40000"]],
    ["six digits can only be a manual's number", "400105", "holding", ["holding 104 manual"]],
    ["the last register with six digits", "465536", "holding", ["holding 65535 manual"]],
    ["a number of another table", "30053", "holding", ["input 52 manual", "holding 30053"]],
    ["coils have leading zeros", "00017", "coil", ["coil 16 manual", "coil 17"]],
    ["no table begins with 2", "20001", "holding", ["holding 20001"]],
    ["blanks around", " 7 ", "holding", ["holding 7"]],
    ["too large", "65536", "holding", []],
    ["seven digits", "4000105", "holding", []],
    ["negative", "-1", "holding", []],
    ["words", "forty", "holding", []],
    ["hexadecimal without digits", "0x", "holding", []],
    ["nothing", "", "holding", []],
  ];
  it.each(rows)("%s", (_, text, table, want) => {
    const got = readings(text, table).map((r) => `${r.table} ${r.wire}${r.manual ? " manual" : ""}`);
    expect(got).toEqual(want);
  });

  it("reads what manualNumber writes", () => {
    for (const table of ["holding", "input", "coil", "discrete_input"] as const) {
      for (const wire of [0, 1, 104, 9998, 9999, 40_104, 65_535]) {
        expect(readings(manualNumber(table, wire), table)[0]).toEqual({ table, wire, manual: true });
      }
    }
  });
});

it("writes hexadecimal with four digits", () => {
  expect(hex(104)).toBe("0x0068");
});

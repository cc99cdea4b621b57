import { describe, expect, it } from "vitest";
import {
  newRead,
  newWrite,
  readQuestion,
  writeQuestion,
  type ReadDraft,
  type WriteDraft,
} from "../../src/model/by-hand";
import { en } from "../../src/i18n/en";
import { subFunctions } from "../../src/model/by-hand";

const pointers = (faults: { pointer: string; code: string }[]): string[] => faults.map((f) => `${f.pointer} ${f.code}`);

describe("a read by hand", () => {
  const rows: [name: string, draft: Partial<ReadDraft>, question: object][] = [
    [
      "of registers",
      { address: "104", quantity: "2" },
      { unit: 1, table: "holding", address: 104, addresses: "wire", quantity: 2 },
    ],
    [
      "in the notation of manuals",
      { what: "input", address: "30001", manual: true },
      { unit: 1, table: "input", address: 30001, addresses: "manual", quantity: 1 },
    ],
    [
      "of a text address",
      { address: " 0x68 " },
      { unit: 1, table: "holding", address: "0x68", addresses: "wire", quantity: 1 },
    ],
    [
      "of coils",
      { what: "coil", address: "0", quantity: "2000" },
      { unit: 1, table: "coil", address: 0, addresses: "wire", quantity: 2000 },
    ],
    ["of diagnostics", { what: "8", sub: "12", address: "no matter" }, { unit: 1, function: 8, sub_function: 12 }],
    ["of a queue", { what: "24", address: "5" }, { unit: 1, function: 24, address: 5, addresses: "wire" }],
    ["of an event counter", { what: "11" }, { unit: 1, function: 11 }],
  ];
  it.each(rows)("%s is asked so", (_, draft, question) => {
    const made = readQuestion({ ...newRead("1"), ...draft });
    expect(pointers(made.faults)).toEqual([]);
    expect(made.question).toEqual(question);
  });

  it("says all that is missing at once", () => {
    const { faults } = readQuestion({ ...newRead(""), quantity: "126" });
    expect(pointers(faults)).toEqual(["/address required", "/unit required", "/quantity out_of_range"]);
  });

  it("has words for every sub-function", () => {
    expect(Object.keys(en.field.hand.subs).sort()).toEqual([...subFunctions].sort());
  });
});

describe("a write by hand", () => {
  const place = { unit: 1, address: 7, addresses: "wire", verify: true };
  const rows: [name: string, draft: Partial<WriteDraft>, question: object][] = [
    ["a number", { value: "-5" }, { ...place, table: "holding", type: "int16", order: "ABCD", value: -5 }],
    [
      "a decimal comma",
      { type: "float32", value: "21,5" },
      { ...place, table: "holding", type: "float32", order: "ABCD", value: 21.5 },
    ],
    [
      "a text",
      { type: "string", length: "4", value: " A1" },
      { ...place, table: "holding", type: "string", order: "ABCD", length: 4, value: " A1" },
    ],
    [
      "registers",
      { form: "registers", list: "1, 0x1F4 -1", code: "16" },
      { ...place, table: "holding", registers: [1, 500, -1], function: 16 },
    ],
    ["a coil", { form: "coil", on: false, code: "5" }, { ...place, table: "coil", value: false, function: 5 }],
    [
      "coils",
      { form: "coils", list: "1 0", verify: false },
      { ...place, verify: false, table: "coil", coils: [true, false] },
    ],
    [
      "and reads behind it",
      { value: "1", code: "23", readAddress: "10", readQuantity: "3" },
      {
        ...place,
        table: "holding",
        type: "int16",
        order: "ABCD",
        value: 1,
        function: 23,
        read_address: 10,
        read_quantity: 3,
      },
    ],
  ];
  it.each(rows)("of %s is asked so", (_, draft, question) => {
    const made = writeQuestion({ ...newWrite("1"), address: "7", ...draft });
    expect(pointers(made.faults)).toEqual([]);
    expect(made.question).toEqual(question);
  });

  const wrong: [name: string, draft: Partial<WriteDraft>, faults: string[]][] = [
    ["nothing", {}, ["/value required"]],
    ["words", { value: "ten" }, ["/value not_a_number"]],
    ["a number that a browser would round", { type: "int64", value: "9007199254740993" }, ["/value not_exact"]],
    ["a coil of 2", { form: "coils", list: "1 2" }, ["/coils out_of_range"]],
    ["no registers", { form: "registers", list: " " }, ["/registers required"]],
    ["a text without length", { type: "string", value: "a" }, ["/length required"]],
  ];
  it.each(wrong)("of %s is refused", (_, draft, faults) => {
    expect(pointers(writeQuestion({ ...newWrite("1"), address: "7", ...draft }).faults)).toEqual(faults);
  });
});

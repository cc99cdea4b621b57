// Reading and writing on a wire by hand: what the form holds, and the question that it becomes.
import type { HandWrite, Read } from "../tool-types";
import { Checks, type OwnFault } from "./check";
import { modbusTypes, sized } from "./device";

/** What can be read: the tables, and the function codes beside them, none of which changes anything. */
export const readable = ["holding", "input", "coil", "discrete_input", "7", "8", "11", "17", "24", "43"] as const;
export type Readable = (typeof readable)[number];

/** The sub-functions of function code 8 that change nothing. */
export const subFunctions = ["0", "2", "11", "12", "13", "14", "15", "16", "17", "18"] as const;

export const writeTypes = modbusTypes.filter((type) => type !== "bits" && type !== "bool");

/** Where something is read or written. */
interface Place {
  unit: string;
  address: string;
  manual: boolean; // the address is meant as manuals count
}

export interface ReadDraft extends Place {
  what: Readable;
  quantity: string;
  sub: string; // of function code 8
}

/** What is written: a number or a text, registers, one coil, or several. */
export type Form = "value" | "registers" | "coil" | "coils";
export const forms: Form[] = ["value", "registers", "coil", "coils"];

export interface WriteDraft extends Place {
  form: Form;
  type: string;
  order: string;
  length: string; // registers of a text
  value: string;
  on: boolean; // of one coil
  list: string; // of registers or coils
  code: string; // of the function; empty takes the one that fits
  verify: boolean;
  readAddress: string; // of function code 23
  readQuantity: string;
}

export function newRead(unit: string): ReadDraft {
  return { unit, what: "holding", address: "", manual: false, quantity: "1", sub: "0" };
}

export function newWrite(unit: string): WriteDraft {
  return {
    ...{ unit, address: "", manual: false, form: "value", type: "int16", order: "ABCD", length: "", value: "" },
    ...{ on: true, list: "", code: "", verify: true, readAddress: "0", readQuantity: "1" },
  };
}

/** byTable tells whether a table is read, and not a function code. */
export function byTable(what: Readable): boolean {
  return !/^\d/.test(what);
}

export function isCoil(form: Form): boolean {
  return form === "coil" || form === "coils";
}

/** codesOf lists the function codes that write a form. */
export function codesOf(form: Form): string[] {
  if (form === "coil") return ["5", "15"];
  return form === "coils" ? ["15"] : ["6", "16", "23"];
}

/** placed reads unit and address; what is not a decimal number is for the gateway to understand (0x68, 4x105). */
function placed(p: Place, c: Checks) {
  const text = c.text("/address", p.address);
  return {
    unit: c.whole("/unit", p.unit, [0, 255]),
    address: /^\d+$/.test(text) ? Number(text) : text,
    addresses: p.manual ? ("manual" as const) : ("wire" as const),
  };
}

export function readQuestion(d: ReadDraft): { question: Read; faults: OwnFault[] } {
  const c = new Checks();
  let question: Read;
  if (byTable(d.what)) {
    const most = d.what === "holding" || d.what === "input" ? 125 : 2000;
    question = { ...placed(d, c), table: d.what, quantity: c.whole("/quantity", d.quantity, [1, most]) };
  } else if (d.what === "24") {
    question = { ...placed(d, c), function: 24 };
  } else {
    question = { unit: c.whole("/unit", d.unit, [0, 255]), function: Number(d.what) };
    if (d.what === "8") question.sub_function = Number(d.sub);
  }
  return { question, faults: c.faults };
}

export function writeQuestion(d: WriteDraft): { question: HandWrite; faults: OwnFault[] } {
  const c = new Checks();
  const question: HandWrite = {
    ...placed(d, c),
    table: isCoil(d.form) ? "coil" : "holding",
    ...content(d, c),
    verify: d.verify,
  };
  if (d.code !== "") question.function = Number(d.code);
  if (d.code === "23") {
    question.read_address = c.whole("/read_address", d.readAddress, [0, 65_535]);
    question.read_quantity = c.whole("/read_quantity", d.readQuantity, [1, 125]);
  }
  return { question, faults: c.faults };
}

function content(d: WriteDraft, c: Checks): Partial<HandWrite> {
  switch (d.form) {
    case "coil":
      return { value: d.on };
    case "coils":
      return { coils: numbers(d.list, "/coils", [0, 1], c).map((n) => n === 1) };
    case "registers":
      return { registers: numbers(d.list, "/registers", [-32_768, 65_535], c) };
  }
  const text = d.type === "string" || d.type === "raw";
  return {
    type: d.type,
    order: d.order,
    ...(sized(d.type) && { length: c.whole("/length", d.length, [1, 123]) }),
    value: text ? d.value : c.number("/value", d.value),
  };
}

/** numbers reads a list of whole numbers, hexadecimal ones too, with spaces or commas between them. */
function numbers(list: string, at: string, range: [number, number], c: Checks): number[] {
  const words = list.split(/[\s,;]+/).filter(Boolean);
  if (words.length === 0) c.add(at, "required");
  return words.map((word) => c.whole(at, word, range));
}

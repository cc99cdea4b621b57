// Reading what people type. Faults that the page finds itself carry no detail;
// the message catalogue has words for their codes.
import type { Fault } from "../types";

export interface OwnFault extends Fault {
  range?: [min: number, max: number];
}

/** Checks gathers the faults of one form; every field is read, so all faults show at once. */
export class Checks {
  readonly faults: OwnFault[] = [];

  add(pointer: string, code: string, range?: [number, number]): void {
    this.faults.push({ pointer, code, detail: "", ...(range && { range }) });
  }

  text(pointer: string, text: string): string {
    if (text.trim() === "") this.add(pointer, "required");
    return text.trim();
  }

  /** name reads an id by the gateway's rule for them: they become levels of topics. */
  name(pointer: string, text: string): string {
    const id = this.text(pointer, text);
    if (id !== "" && !/^[a-z0-9][a-z0-9._-]{0,63}$/.test(id)) this.add(pointer, "bad_name");
    return id;
  }

  /** optional reads a number; undefined when the text is empty or wrong. A comma is taken for a point. */
  optional(pointer: string, text: string, range?: [number, number]): number | undefined {
    const s = text.trim().replace(",", ".");
    if (s === "") return undefined;
    const n = Number(s);
    if (!Number.isFinite(n)) {
      this.add(pointer, "not_a_number");
      return undefined;
    }
    if (range && (n < range[0] || n > range[1])) this.add(pointer, "out_of_range", range);
    // It would be rounded on its way, and another number set or written than was typed.
    else if (/^[+-]?\d+$/.test(s) && !Number.isSafeInteger(n)) this.add(pointer, "not_exact");
    return n;
  }

  number(pointer: string, text: string, range?: [number, number]): number {
    if (text.trim() === "") this.add(pointer, "required");
    return this.optional(pointer, text, range) ?? 0;
  }

  whole(pointer: string, text: string, range: [number, number]): number {
    const n = this.number(pointer, text, range);
    if (!Number.isInteger(n)) this.add(pointer, "out_of_range", range);
    return n;
  }
}

/** slug makes an id of what somebody types, while they type. */
export function slug(text: string): string {
  return text.trimStart().toLowerCase().replace(/\s+/g, "-").replace(/[/+#]/g, "");
}

/** setOrDrop puts value at key, or takes the key away when there is no value, so that saved settings hold no noise. */
export function setOrDrop<T extends object, K extends keyof T>(object: T, key: K, value: T[K] | undefined): void {
  if (value === undefined || value === "") Reflect.deleteProperty(object, key);
  else object[key] = value;
}

export function show(n: number | undefined): string {
  return n === undefined ? "" : String(n);
}

// The two ways to write where a Modbus value is: the address on the wire (from 0,
// decimal or hexadecimal), and the number of manuals (40001 is the first holding register).

export type Table = "coil" | "discrete_input" | "input" | "holding";
export const tables: Table[] = ["holding", "input", "coil", "discrete_input"];

const digit: Record<Table, number> = { coil: 0, discrete_input: 1, input: 3, holding: 4 };

export function isTable(s: string | undefined): s is Table {
  return s !== undefined && s in digit;
}

/** What an entry can mean. wire is 0 to 65535. */
export interface Reading {
  table: Table;
  wire: number;
  manual: boolean; // read in the numbering of manuals
}

/**
 * readings gives every meaning of text for a point of the table, the likeliest first; none when it is no address.
 * Five and six digits with a manual's first digit (40105, 400105) are read both ways: some makers print such wire addresses too.
 */
export function readings(text: string, table: Table): Reading[] {
  const s = text.trim().toLowerCase();
  if (/^0x[0-9a-f]{1,4}$/.test(s)) return [{ table, wire: parseInt(s.slice(2), 16), manual: false }];
  const notation = /^([0134])x(\d{1,6})$/.exec(s);
  if (notation) {
    const of = tables.find((t) => digit[t] === Number(notation[1]));
    const number = Number(notation[2]);
    return of && number >= 1 && number <= 65536 ? [{ table: of, wire: number - 1, manual: true }] : [];
  }
  if (!/^\d{1,6}$/.test(s)) return [];
  const found: Reading[] = [];
  if (s.length >= 5) {
    const of = tables.find((t) => digit[t] === Number(s[0]));
    const number = Number(s.slice(1));
    if (of && number >= 1 && number <= 65536) found.push({ table: of, wire: number - 1, manual: true });
  }
  const wire = Number(s);
  if (wire <= 65535) found.push({ table, wire, manual: false });
  return found;
}

/** manualNumber writes a wire address as manuals do: 104 of the holding registers is 40105. */
export function manualNumber(table: Table, wire: number): string {
  const n = wire + 1;
  return String(digit[table]) + String(n).padStart(n > 9999 ? 5 : 4, "0");
}

export function hex(wire: number): string {
  return "0x" + wire.toString(16).toUpperCase().padStart(4, "0");
}

/** ambiguous tells whether a wire address, written in decimal, could be a number of a manual too. */
export function ambiguous(wire: number): boolean {
  return /^[134]\d{4}$/.test(String(wire)) && wire % 10_000 > 0;
}

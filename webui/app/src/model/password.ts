// Passwords that the page makes: no letters that look alike, about 100 bits.
const letters = "abcdefghijkmnpqrstuvwxyz23456789"; // 32, so that a byte's low bits choose evenly

export function makePassword(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(20));
  return [...bytes].map((b, i) => (i > 0 && i % 5 === 0 ? "-" : "") + letters.charAt(b % letters.length)).join("");
}

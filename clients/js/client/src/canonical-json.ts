// RFC 8785 (JSON Canonicalization Scheme), with the api's rule for integers beyond 2^53.

/** Integers beyond it are strings of decimal digits in a task id's input, because JavaScript's numbers are not exact there. */
const SAFE = 2n ** 53n;

/**
 * The canonical JSON of a value.
 *
 * A `bigint` is written as a number up to 2^53 and as a string of its digits beyond. Members that are undefined are left
 * out, as `JSON.stringify` does.
 *
 * @throws TypeError for what JSON does not have: NaN, Infinity, a function, a lone surrogate.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  switch (typeof value) {
    case "bigint":
      return value >= -SAFE && value <= SAFE ? String(value) : `"${value}"`;
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
      // RFC 8785 defines numbers as ECMAScript writes them.
      return JSON.stringify(value);
    case "string":
      return text(value);
    case "boolean":
      return String(value);
    case "object":
      return value === null ? "null" : object(value);
    default:
      throw new TypeError(`JSON has no ${typeof value}`);
  }
}

function object(value: object): string {
  const plain: unknown = "toJSON" in value && typeof value.toJSON === "function" ? value.toJSON() : value;
  if (typeof plain !== "object" || plain === null || Array.isArray(plain)) return canonicalJson(plain);
  // Not by sorting into a new object: its integer-like keys would come first. `<` compares UTF-16 code units, as RFC 8785 asks.
  const members = Object.entries(plain).filter(([, item]) => item !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, item]) => `${text(name)}:${canonicalJson(item)}`).join(",")}}`;
}

function text(value: string): string {
  const written = JSON.stringify(value);
  // JSON.stringify escapes a lone surrogate, which has no place in UTF-8.
  if (/\\ud[89a-f]/.test(written) && !isWellFormed(value)) throw new TypeError("the text has a lone surrogate, which UTF-8 does not have");
  return written;
}

function isWellFormed(value: string): boolean {
  try {
    encodeURIComponent(value);
    return true;
  } catch {
    return false;
  }
}

// What a page does with the rows of a table: order, conditions, counts.
import { numberOf } from "../ui/plot.tsx";

export type Row = Record<string, unknown>;

export interface Order {
  column: string;
  descending: boolean;
}

export const OPERATORS = ["contains", "is", "is not", "≥", "≤", "is null", "is not null"] as const;

export interface Condition {
  column: string;
  operator: (typeof OPERATORS)[number];
  value: string;
}

export const textOf = (value: unknown): string => (typeof value === "object" ? JSON.stringify(value) : String(value));

function meets(row: Row, { column, operator, value: wanted }: Condition): boolean {
  const value = row[column] ?? null;
  if (operator === "is null") return value === null;
  if (value === null) return operator === "is not";
  if (operator === "is not null") return true;
  const text = textOf(value);
  const [number, limit] = [numberOf(value), numberOf(wanted.trim())];
  switch (operator) {
    case "contains": return text.toLowerCase().includes(wanted.toLowerCase());
    case "is": return text === wanted || (number !== null && number === limit);
    case "is not": return text !== wanted && !(number !== null && number === limit);
    // Times in ISO 8601 are in the order of their texts.
    case "≥": return number !== null && limit !== null ? number >= limit : text >= wanted;
    case "≤": return number !== null && limit !== null ? number <= limit : text <= wanted;
  }
}

export const filtered = (rows: Row[], conditions: Condition[]): Row[] =>
  conditions.length === 0 ? rows : rows.filter((row) => conditions.every((condition) => meets(row, condition)));

/** Numbers by their value, all else as text; nulls last. */
export function sorted(rows: Row[], { column, descending }: Order): Row[] {
  const sign = descending ? -1 : 1;
  return rows.toSorted((first, second) => {
    const [a, b] = [first[column] ?? null, second[column] ?? null];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * textOf(a).localeCompare(textOf(b), "en", { numeric: true });
  });
}

const MOST_BARS = 12;

export interface Bar {
  label: string;
  count: number;
}

/** How often a column has which values: in ranges for numbers, one by one for a few texts; nothing where neither tells much. */
export function barsOf(values: unknown[], numeric: boolean): Bar[] {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (numeric) {
    const numbers = known.map(numberOf).filter((value) => value !== null);
    const [low, high] = [numbers.reduce((a, b) => Math.min(a, b), Infinity), numbers.reduce((a, b) => Math.max(a, b), -Infinity)];
    if (!(high > low)) return [];
    const width = (high - low) / MOST_BARS;
    const bars = Array.from({ length: MOST_BARS }, (_, index): Bar => ({ label: `${short(low + index * width)} to ${short(low + (index + 1) * width)}`, count: 0 }));
    for (const number of numbers) bars[Math.min(MOST_BARS - 1, Math.floor((number - low) / width))]!.count += 1;
    return bars;
  }
  const counts = new Map<string, number>();
  for (const value of known) {
    const text = textOf(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
    if (counts.size > MOST_BARS) return [];
  }
  return counts.size < 2 ? [] : [...counts].map(([label, count]) => ({ label, count })).toSorted((a, b) => b.count - a.count);
}

const short = (value: number): string => String(Number(value.toPrecision(4)));

/** A column of numbers in a few figures. */
export function statisticsOf(values: unknown[]): [name: string, value: number][] {
  const numbers = values.map(numberOf).filter((value) => value !== null).toSorted((a, b) => a - b);
  if (numbers.length === 0) return [];
  const sum = numbers.reduce((total, value) => total + value, 0);
  const middle = numbers.length / 2;
  const median = numbers.length % 2 ? numbers[Math.floor(middle)]! : (numbers[middle - 1]! + numbers[middle]!) / 2;
  return [["Smallest", numbers[0]!], ["Median", median], ["Mean", sum / numbers.length], ["Largest", numbers.at(-1)!], ["Sum", sum]];
}

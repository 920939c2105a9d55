// How values read on the page.

const whole = new Intl.NumberFormat("en");

export const count = (value: number): string => whole.format(value);

/** Digits in threes from the right. Thin spaces, and not commas, so that a long number may wrap anywhere. */
export function grouped(digits: string): string {
  // Not the well-known lookahead: it looks to the end from every digit, and there may be tens of thousands.
  const odd = digits.length % 3;
  return [digits.slice(0, odd), ...(digits.slice(odd).match(/\d{3}/g) ?? [])].filter(Boolean).join("\u2009");
}

export const clock = (time: string): string =>
  new Date(time).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
  });

/** Digits in tens from the left, for the start of a number whose end is not here. */
export const inTens = (digits: string): string => digits.replace(/(\d{10})(?=\d)/g, "$1\u2009");

export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  return milliseconds < 60_000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${Math.round(milliseconds / 60_000)} min`;
}

/** From one time of a record to another, or nothing where either has not come. */
export const between = (from: string | null | undefined, to: string | null | undefined): string | undefined =>
  from && to ? duration(Date.parse(to) - Date.parse(from)) : undefined;

export function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : new Date(time).toLocaleDateString();
}

/** A task as a call: fibonacci(n: 90). */
export function call(name: string, input: unknown): string {
  const entries = typeof input === "object" && input !== null ? Object.entries(input) : [];
  return `${name}(${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")})`;
}

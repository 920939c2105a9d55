// Values as text.
import { preference } from "../app/preferences.ts";

const whole = new Intl.NumberFormat();

export const count = (value: number): string => whole.format(value);

export const counted = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A measured number: at most six digits. */
export const figure = (value: number): string => String(Number(value.toPrecision(6)));

const money = (digits: number) => new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits });
const [CENTS, TENTHS] = [money(2), money(3)];

/** US dollars: `$1,402.18`, and `$0.247` of less than one. */
export const dollars = (value: number): string => (value > 0 && value < 1 ? TENTHS : CENTS).format(value);

/** Groups of three digits from the right, separated by thin spaces instead of commas so that a long number can wrap. */
export function grouped(digits: string): string {
  // Not the well-known lookahead, which scans to the end from every digit: there may be tens of thousands.
  const sign = digits.startsWith("-") ? "-" : "";
  const bare = digits.slice(sign.length);
  const odd = bare.length % 3;
  return sign + [bare.slice(0, odd), ...(bare.slice(odd).match(/\d{3}/g) ?? [])].filter(Boolean).join("\u2009");
}

// Times: in the browser's language, and in the zone that the person has chosen (preferences.ts).

const zone = (): Intl.DateTimeFormatOptions => (preference("zone") === "utc" ? { timeZone: "UTC" } : {});

// Making a formatter takes a hundred times as long as using it, and a table shows many times.
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatted(time: string | number, options: Intl.DateTimeFormatOptions): string {
  const all = { ...options, ...zone() };
  const key = JSON.stringify(all);
  let formatter = formatters.get(key);
  if (!formatter) formatters.set(key, (formatter = new Intl.DateTimeFormat(undefined, all)));
  return formatter.format(typeof time === "string" ? Date.parse(time) : time);
}

/** `14:36:58`, or `14:36:58.104` with milliseconds. */
export const clock = (time: string | number, milliseconds = false): string =>
  formatted(time, { hour: "2-digit", minute: "2-digit", second: "2-digit", ...(milliseconds && { fractionalSecondDigits: 3 }) });

/** `25 Nov, 14:36`, with the year if it is another one. */
export function dateTime(time: string | number): string {
  const date = new Date(time);
  const year = date.getFullYear() === new Date().getFullYear() ? {} : ({ year: "numeric" } as const);
  return formatted(time, { day: "numeric", month: "short", ...year, hour: "2-digit", minute: "2-digit" });
}

const DAY_AND_A_HALF = 36 * 3600 * 1000;

/** A time at an axis that covers `span` milliseconds: `14:36`, or the day of a longer one. */
export const axisTime = (time: number, span: number): string =>
  span > DAY_AND_A_HALF
    ? formatted(time, { day: "numeric", month: "short" })
    : formatted(time, { hour: "2-digit", minute: "2-digit" });

/** The time below the cursor of a chart: with seconds today, with the date before. */
export const wholeAxisTime = (time: number): string => shortTime(new Date(time).toISOString());

const day = (time: string | number): string => formatted(time, { year: "numeric", month: "numeric", day: "numeric" });

/** The time today, date and time before. */
export const shortTime = (time: string): string =>
  day(time) === day(Date.now()) ? clock(time) : dateTime(time);

/** For tooltips: the whole time in the person's zone, and in UTC. */
export const wholeTime = (time: string | number): string =>
  `${formatted(time, { dateStyle: "full", timeStyle: "long" })}\n${new Date(time).toISOString()}`;

/** The name of the zone in which times are shown: `Berlin (UTC+1)`. */
export function zoneName(): string {
  if (preference("zone") === "utc") return "UTC";
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const offset = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts().find(({ type }) => type === "timeZoneName")?.value;
  return `${timeZone.split("/").at(-1)!.replaceAll("_", " ")} (${(offset ?? "GMT").replace("GMT", "UTC")})`;
}

/** Groups of ten digits from the left, for the start of a number whose end is not shown. */
export const inTens = (digits: string): string => digits.replace(/(\d{10})(?=\d)/g, "$1\u2009");

export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  if (milliseconds < 10_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds < 60_000) return `${Math.round(milliseconds / 1000)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return [`${Math.floor(seconds / 60)} min`, seconds % 60 > 0 && `${seconds % 60} s`].filter(Boolean).join(" ");
  const minutes = Math.floor(seconds / 60) % 60;
  return [`${Math.floor(seconds / 3600)} h`, minutes > 0 && `${minutes} min`].filter(Boolean).join(" ");
}

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  const power = Math.min(4, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** power).toFixed(1)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** The duration from one time of a record to another, or to now; nothing if the first is not set. */
export const between = (from: string | null | undefined, to: string | null | undefined, now?: number): string | undefined =>
  from && (to || now) ? duration((to ? Date.parse(to) : now!) - Date.parse(from)) : undefined;

export function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : new Date(time).toLocaleDateString();
}

/** A task as a function call: fibonacci(n: 90). */
export function call(name: string, input: unknown): string {
  const entries = typeof input === "object" && input !== null ? Object.entries(input) : [];
  return `${name}(${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")})`;
}

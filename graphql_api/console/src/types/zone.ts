// Times of forms: shown and typed in the person's zone, sent in UTC.
import { preference } from "../app/preferences.ts";

/** A time that says its own zone. */
export const ZONED = /(Z|[+-]\d\d:\d\d)$/;

/** Times of the browser's own fields in the api's form: `12:30` -> `12:30:00`, `12:30:05.5` -> `12:30:05.500000`. */
export function withSeconds(time: string): string {
  const [whole = "", fraction = ""] = time.split(".");
  const full = /:\d\d:\d\d$/.test(whole) ? whole : `${whole}:00`;
  return Number(fraction) ? `${full}.${fraction.padEnd(6, "0")}` : full;
}

/** What a field shows of the api's time; finer than milliseconds, which a browser's field cannot hold, it keeps UTC. */
export function zonedText(time: string): string {
  const date = new Date(time);
  const fraction = /\.(\d+)/.exec(time)?.[1]?.replace(/0+$/, "") ?? "";
  if (Number.isNaN(date.getTime()) || fraction.length > 3) return time;
  const ahead = preference("zone") === "utc" ? 0 : -date.getTimezoneOffset();
  return new Date(date.getTime() + ahead * 60_000).toISOString().slice(0, 19).replace(/:00$/, "") + (fraction && `.${fraction}`);
}

/** The api's form of a time without a zone, which is one of the person's. */
export function zonedOf(typed: string): string {
  const [whole = "", fraction = ""] = withSeconds(typed).split(".");
  const date = new Date(preference("zone") === "utc" ? `${whole}Z` : whole);
  if (Number.isNaN(date.getTime())) throw new Error("Enter a date and a time.");
  return `${date.toISOString().slice(0, 19)}${fraction && `.${fraction}`}Z`;
}

/** The time that is sent, beside a field; nothing while it is not one. */
export function sentAs(typed: string): string | undefined {
  try {
    return typed === "" || ZONED.test(typed) ? undefined : zonedOf(typed);
  } catch {
    return undefined;
  }
}

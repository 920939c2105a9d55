// How far back the page looks: chosen at its top, or marked in a chart, and kept in the address.
import { address, go } from "../app/route.ts";

/** The history has a point for each minute of the last three hours, and for ten minutes before. */
export const PERIODS = [
  { key: "15m", label: "15 min", said: "the last 15 minutes", seconds: 900, points: 15 },
  { key: "1h", label: "1 h", said: "the last hour", seconds: 3600, points: 60 },
  { key: "24h", label: "24 h", said: "the last 24 hours", seconds: 86_400, points: 144 },
] as const;

export type Period = (typeof PERIODS)[number];

export interface Shown {
  period: Period;
  /** The part of it that is marked, milliseconds since 1970. */
  marked: [from: number, to: number] | undefined;
}

export function shownPeriod(query: URLSearchParams): Shown {
  const period = PERIODS.find(({ key }) => key === query.get("period")) ?? PERIODS[1];
  const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
  return { period, marked: from > 0 && to > from ? [from, to] : undefined };
}

export const showPeriod = ({ key }: Period): void => go(address(["cluster"], { period: key }));

export const markPeriod = ({ key }: Period, from: number, to: number): void =>
  go(address(["cluster"], { period: key, from: String(Math.round(from)), to: String(Math.round(to)) }));

// What a chart computes before it draws: the values at its axes, the paths of its lines, and its trend in words.
import { count, dollars, duration } from "./format.ts";

/** How values are written, and which steps their axis has. */
export interface Unit {
  format(value: number): string;
  /** The smallest step between two values of the axis. */
  least: number;
  /** Steps in minutes and hours in place of 100 and 1,000. */
  clock?: boolean;
}

const digits = (value: number): number => (value < 10 ? 2 : value < 100 ? 1 : 0);
const rounded = (value: number): string => value.toLocaleString(undefined, { maximumFractionDigits: Number.isInteger(value) ? 0 : digits(value) });

export const UNITS = {
  count: { format: count, least: 1 },
  /** Numbers that may have decimals, such as a rate. */
  rate: { format: rounded, least: 0.1 },
  seconds: { format: (value) => (value === 0 ? "0" : duration(value * 1000).replace(/ 0 s$| 0 min$/, "").replace(/\.0 s$/, " s")), least: 0.001, clock: true },
  dollars: { format: dollars, least: 0.001 },
} as const satisfies Record<string, Unit>;

const INTERVALS = 3;
const CLOCK_STEPS = [60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** The values at the axis, from `low` upwards in equal steps, so that the last one is not below `high`. */
export function ticks(high: number, { least, clock = false }: Unit, low = 0): number[] {
  const raw = Math.max(least, (high - low) / INTERVALS);
  const power = 10 ** Math.floor(Math.log10(raw) + 1e-9);
  const step = (clock && raw > 30 && CLOCK_STEPS.find((one) => one >= raw)) || power * ([1, 2, 5, 10].find((one) => power * one >= raw * 0.9999) ?? 10);
  const first = Math.floor(low / step) * step;
  const steps = Math.max(1, Math.ceil((high - first) / step - 1e-9));
  return Array.from({ length: steps + 1 }, (_, index) => Number((first + index * step).toPrecision(12)));
}

/** Where a value is in the drawing, which is 1000 wide and 100 high. */
export interface Place {
  x(at: number): number;
  y(value: number): number;
}

export const placeOf = (from: number, to: number, low: number, high: number): Place => ({
  x: (at) => ((at - from) / (to - from || 1)) * 1000,
  y: (value) => 100 - ((value - low) / (high - low || 1)) * 100,
});

/** A line with a gap wherever there is no value. */
export function linePath(xs: number[], values: (number | null)[], { x, y }: Place): string {
  let begun = false;
  return xs.map((at, index) => {
    const value = values[index] ?? null;
    if (value === null) {
      begun = false;
      return "";
    }
    const alone = !begun && (values[index + 1] ?? null) === null;
    // A value without neighbours is a short dash.
    const part = `${begun ? "L" : "M"}${(x(at) - (alone ? 8 : 0)).toFixed(1)} ${y(value).toFixed(1)}${alone ? "h16" : ""}`;
    begun = true;
    return part;
  }).join("");
}

/** The area between two lines, of which the lower one may be the axis. */
export function areaPath(xs: number[], upper: (number | null)[], lower: (number | null)[], { x, y }: Place): string {
  const there = xs.map((_, index) => index).filter((index) => upper[index] != null);
  if (there.length === 0) return "";
  const points = (values: (number | null)[], order: number[]) => order.map((index) => `${x(xs[index]!).toFixed(1)} ${y(values[index] ?? 0).toFixed(1)}`);
  return `M${[...points(upper, there), ...points(lower, there.toReversed())].join("L")}Z`;
}

/** Each series on top of those before it. */
export function stack(all: (number | null)[][]): number[][] {
  const sums: number[][] = [];
  for (const values of all) {
    const below = sums.at(-1);
    sums.push(values.map((value, index) => (below?.[index] ?? 0) + (value ?? 0)));
  }
  return sums;
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** A series in words: `Failed 0 now, up to 4 at 14:20, falling`. */
export function trend(name: string, xs: number[], values: (number | null)[], format: (value: number) => string, at: (x: number) => string): string {
  const known = values.flatMap((value, index) => (value === null ? [] : [{ value, x: xs[index]! }]));
  const last = known.at(-1);
  if (!last) return `${name} unknown`;
  const most = known.reduce((best, one) => (one.value > best.value ? one : best));
  const third = Math.ceil(known.length / 3);
  const [before, after] = [mean(known.slice(0, third).map(({ value }) => value)), mean(known.slice(-third).map(({ value }) => value))];
  const direction = known.length < 6 || Math.abs(after - before) <= 0.2 * Math.max(Math.abs(before), Math.abs(after)) ? "" : after > before ? ", rising" : ", falling";
  return `${name} ${format(last.value)} now${most.value > last.value ? `, up to ${format(most.value)} at ${at(most.x)}` : ""}${direction}`;
}

/** The index of the position nearest to `wanted` in ascending positions. */
export function nearest(xs: number[], wanted: number): number {
  const next = xs.findIndex((x) => x >= wanted);
  if (next === -1) return xs.length - 1;
  return next > 0 && wanted - xs[next - 1]! < xs[next]! - wanted ? next - 1 : next;
}

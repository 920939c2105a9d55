// A line through numbers that have no time, with its range.
import { useId } from "react";
import { Chart } from "./chart.tsx";
import { count, figure } from "./format.ts";

const UNIT = { format: figure, least: 1e-9 };

/** `from` and `to` are the positions of the first and the last value, as text. */
export function Plot({ title, values, from, to }: { title: string; values: (number | null)[]; from: string; to: string }) {
  const group = useId();
  const last = values.length - 1;
  const known = values.filter((value) => value !== null);
  const [low, high] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
  const at = (x: number, whole = false) => (x === 0 ? from : x === last ? to : whole ? count(Math.round(x)) : "");
  return (
    <Chart
      title={title} heading="h3" times={values.map((_, index) => index)} series={[{ name: "Value", tone: 1, values }]}
      unit={UNIT} base="lowest" at={at} group={group} summary={`${count(known.length)} values from ${figure(low)} to ${figure(high)}`} empty="There are no numbers to draw."
    />
  );
}

/** What is drawn of a value in the JSON of rows and slices: the amount of a complex number, nothing where it is no number. */
export function numberOf(value: unknown): number | null {
  if (typeof value === "boolean") return Number(value);
  if (Array.isArray(value) && value.length === 2) return Math.hypot(Number(value[0]), Number(value[1]));
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

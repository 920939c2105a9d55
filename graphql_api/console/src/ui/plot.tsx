// A line through numbers, as our own SVG, with its range.
import { pathOf } from "./chart.tsx";
import { count, figure } from "./format.ts";

const WIDTH = 600;
const HEIGHT = 140;

/** `from` and `to` are the positions of the first and the last value, as text. */
export function Plot({ title, values, from, to }: { title: string; values: (number | null)[]; from: string; to: string }) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return <p className="hint">{title}: no numbers to draw.</p>;
  const low = known.reduce((a, b) => Math.min(a, b));
  const high = known.reduce((a, b) => Math.max(a, b));
  return (
    <figure className="chart plot">
      <figcaption className="row">
        <strong>{title}</strong>
        <span className="key">min <b>{figure(low)}</b></span>
        <span className="key">max <b>{figure(high)}</b></span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
        aria-label={`${title}: ${count(known.length)} values from ${figure(low)} to ${figure(high)}`}
      >
        <path className="line-a" d={pathOf(values, { low, high: high === low ? low + 1 : high, width: WIDTH, height: HEIGHT })} />
      </svg>
      <p className="row hint">
        <span>{from}</span>
        <span className="end">{to}</span>
      </p>
    </figure>
  );
}

/** What is drawn of a value in the JSON of rows and slices: the amount of a complex number, nothing where it is no number. */
export function numberOf(value: unknown): number | null {
  if (typeof value === "boolean") return Number(value);
  if (Array.isArray(value) && value.length === 2) return Math.hypot(Number(value[0]), Number(value[1]));
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

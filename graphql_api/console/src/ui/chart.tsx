// Charts of values over time, as our own SVG: a library would be larger than the rest of the page.
import { useId, useState } from "react";
import { areaPath, linePath, placeOf, stack, ticks, type Unit, UNITS } from "./chart-scale.ts";
import { Pointer } from "./chart-pointer.tsx";
import { axisTime, wholeAxisTime } from "./format.ts";

export interface Series {
  name: string;
  /** Its colour: 1 to 4 of the series, 5 for failures, 6 for what is only for comparison. */
  tone: 1 | 2 | 3 | 4 | 5 | 6;
  /** Told apart without colour: by its dash, or by the area below it. */
  look?: "line" | "dash" | "dot" | "area";
  /** One for each time; null where nothing is known. */
  values: (number | null)[];
}

export interface ChartProps {
  title: string;
  heading?: "h2" | "h3";
  /** When each value was measured, ascending, in milliseconds since 1970; or positions of another kind, with `at`. */
  times: number[];
  series: Series[];
  /** Each series on top of those before it. */
  stacked?: boolean;
  unit?: keyof typeof UNITS | Unit;
  /** What the axis covers; without them, from the first to the last time. */
  from?: number | undefined;
  to?: number | undefined;
  /** The value at the bottom: 0, or about the lowest one. */
  base?: "zero" | "lowest";
  /** A position as text, for an axis or as a whole; without it a position is a time. */
  at?: (x: number, whole?: boolean) => string;
  /** What the chart says, in words, for those who do not see it; without it, the newest and highest values. */
  summary?: string;
  /** Charts of one group share their cursor. */
  group?: string;
  /** Called with the period that a person has marked, by dragging or with Shift and the arrow keys. */
  onPeriod?: ((from: number, to: number) => void) | undefined;
  /** Said where there are no values. */
  empty?: string;
}

/** A title with the newest values, the drawing with its axes, and on demand the numbers as a table. */
export function Chart({ title, heading: Heading = "h2", empty = "Nothing has been measured yet.", ...props }: ChartProps) {
  const { series, stacked, unit = "count" } = props;
  const [numbers, setNumbers] = useState(false);
  const id = useId();
  const format = unitOf(unit).format;
  const known = series.some(({ values }) => values.some((value) => value !== null));
  return (
    <div className="chartbox" role="group" aria-labelledby={id}>
      <header>
        <Heading className="h3" id={id}>{title}</Heading>
        <p className="legend">
          {series.map(({ name, tone, look = "line", values }) => {
            const newest = values.findLast((value) => value !== null);
            return <span key={name}><i className={`k${tone} ${stacked || look === "area" ? "box" : look}`} />{name} <b>{newest == null ? "–" : format(newest)}</b></span>;
          })}
          {known && (
            <button type="button" className="linkbtn" aria-label={`${numbers ? "Chart" : "Numbers"}: ${title}`} onClick={() => setNumbers(!numbers)}>
              {numbers ? "Chart" : "Numbers"}
            </button>
          )}
        </p>
      </header>
      {!known ? <p className="chartempty muted small">{empty}</p> : numbers ? <Numbers title={title} {...props} /> : <Drawing title={title} {...props} />}
    </div>
  );
}

const unitOf = (unit: keyof typeof UNITS | Unit): Unit => (typeof unit === "string" ? UNITS[unit] : unit);

function Numbers({ title, times, series, unit = "count", at }: ChartProps) {
  const { format } = unitOf(unit);
  return (
    <div className="tablewrap chartnumbers" tabIndex={0} role="group" aria-label={`${title}, numbers`}>
      <table>
        <thead>
          <tr>
            <th scope="col">{at ? "Position" : "Time"}</th>
            {series.map(({ name }) => <th key={name} scope="col" className="num">{name}</th>)}
          </tr>
        </thead>
        <tbody>
          {times.map((x, index) => (
            <tr key={x}>
              <td>{at ? at(x, true) : wholeAxisTime(x)}</td>
              {series.map(({ name, values }) => <td key={name} className="num">{values[index] == null ? "–" : format(values[index])}</td>)}
            </tr>
          )).reverse()}
        </tbody>
      </table>
    </div>
  );
}

const EDGES = [0, 0.25, 0.5, 0.75, 1];

function Drawing({ title, times, series, stacked = false, unit = "count", base = "zero", at, summary, group = "time", onPeriod, ...axis }: ChartProps) {
  const from = axis.from ?? times[0] ?? 0;
  const to = axis.to ?? times.at(-1) ?? 1;
  const lines = stacked ? stack(series.map(({ values }) => values)) : series.map(({ values }) => values);
  const known = lines.flat().filter((value) => value !== null);
  const lowest = base === "lowest" ? known.reduce((low, value) => Math.min(low, value), Infinity) : 0;
  const values = ticks(known.reduce((high, value) => Math.max(high, value), lowest), unitOf(unit), lowest);
  const [low, high] = [values[0]!, values.at(-1)!];
  const place = placeOf(from, to, low, high);
  const floor = times.map(() => low);
  const top = (value: number) => `${place.y(value)}%`;
  const text = at ?? ((x, whole = false) => (whole ? wholeAxisTime(x) : axisTime(x, to - from)));
  return (
    <div className="chart">
      <div className="y" aria-hidden="true">
        {values.map((value) => <span key={value} style={{ top: top(value) }}>{unitOf(unit).format(value)}</span>)}
      </div>
      <div className="plot">
        {values.slice(1).map((value) => <i key={value} className="grid" style={{ top: top(value) }} />)}
        <svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">
          {series.map(({ name, tone, look = "line" }, index) => {
            const line = lines[index]!;
            if (stacked) return <path key={name} className={`solid-area k${tone}`} d={areaPath(times, line, lines[index - 1] ?? floor, place)} />;
            return (
              <g key={name}>
                {look === "area" && <path className={`area k${tone}`} d={areaPath(times, line, floor, place)} />}
                <path className={look === "area" ? `k${tone}` : `k${tone} ${look}`} d={linePath(times, line, place)} />
              </g>
            );
          })}
        </svg>
        <Pointer {...{ title, summary, times, series, from, to, group, onPeriod, text, format: unitOf(unit).format }} />
      </div>
      <div className="x" aria-hidden="true">
        {EDGES.map((edge) => <span key={edge} style={{ left: `${edge * 100}%` }}>{text(from + edge * (to - from))}</span>)}
      </div>
    </div>
  );
}

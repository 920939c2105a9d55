// Numbers in two dimensions as colours, on a canvas, with axes and the value under the pointer.
import { type PointerEvent, useEffect, useRef, useState } from "react";
import { usePreference } from "../app/preferences.ts";
import { count, figure } from "../ui/format.ts";

interface HeatMapProps {
  name: string;
  rows: (number | null)[][];
  /** The names of the two dimensions: down, across. */
  dims: string[];
  /** Their lengths, of which `rows` may be a sample. */
  shape: number[];
}

/** As many as tokens.css has, from the lowest to the highest. */
const COLOURS = 9;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

type Colour = [number, number, number];

export function HeatMap({ name, rows, dims, shape }: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const ramp = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<{ x: number; y: number }>();
  const theme = useTheme();
  const height = rows.length;
  const width = rows[0]?.length ?? 0;
  const known = rows.flat().filter((value) => value !== null);
  const low = known.length ? known.reduce((a, b) => Math.min(a, b)) : 0;
  const high = known.length ? known.reduce((a, b) => Math.max(a, b)) : 0;

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !ramp.current || width === 0) return;
    const colours = [...ramp.current.children].map((step) => colourOf(getComputedStyle(step).backgroundColor));
    const image = context.createImageData(width, height);
    rows.forEach((row, y) =>
      row.forEach((value, x) => {
        // A missing value stays transparent.
        if (value !== null) image.data.set([...mixed(colours, high > low ? (value - low) / (high - low) : 0.5), 255], 4 * (y * width + x));
      }),
    );
    context.putImageData(image, 0, 0);
  }, [rows, width, height, low, high, theme]);

  /** The index in the array of a place among the drawn values. */
  const indexOf = (place: number, drawn: number, length: number) => Math.round((place / Math.max(1, drawn - 1)) * (length - 1));
  const onMove = (event: PointerEvent<HTMLCanvasElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    const y = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    setAt({ x, y });
  };
  const ticks = (length: number) => [...new Set(TICKS.map((share) => Math.round(share * (length - 1))))];
  const value = at && rows[at.y]?.[at.x];
  const left = (index: number, length: number) => `${length > 1 ? (100 * index) / (length - 1) : 0}%`;

  return (
    <div className="heatmap">
      <div className="heat">
        <div className="chart axisonly"><div className="y" aria-hidden="true">{ticks(shape[0]!).map((index) => <span key={index} style={{ top: left(index, shape[0]!) }}>{count(index)}</span>)}</div></div>
        <div className="plot" style={{ aspectRatio: `${Math.min(4, Math.max(0.75, shape[1]! / shape[0]!))}` }}>
          <canvas
            ref={canvas} className="heatcanvas" width={width} height={height} role="img" onPointerMove={onMove} onPointerLeave={() => setAt(undefined)}
            aria-label={`${name}: a heat map of ${count(height)} by ${count(width)} values from ${figure(low)} to ${figure(high)}`}
          />
          {at && (
            <div className="tip" style={{ ...(at.x < width / 2 ? { left: `${(100 * (at.x + 1)) / width}%` } : { right: `${100 - (100 * at.x) / width}%` }), top: `${(85 * at.y) / height}%` }}>
              {dims[0]} {count(indexOf(at.y, height, shape[0]!))} · {dims[1]} {count(indexOf(at.x, width, shape[1]!))}<br />
              <b>{value === null || value === undefined ? "not a number" : figure(value)}</b>
            </div>
          )}
        </div>
        <div className="chart axisonly across"><div className="x" aria-hidden="true">{ticks(shape[1]!).map((index) => <span key={index} style={{ left: left(index, shape[1]!) }}>{count(index)}</span>)}</div></div>
      </div>
      <div className="row small muted">
        <span>{dims[0]} down, {dims[1]} across</span>
        <span className="row end">
          {figure(low)}
          <span ref={ramp} className="ramp" aria-hidden="true">{Array.from({ length: COLOURS }, (_, index) => <i key={index} style={{ background: `var(--heat-${index})` }} />)}</span>
          {figure(high)}
        </span>
      </div>
    </div>
  );
}

/** Changes with the colours of the page. */
function useTheme(): string {
  const chosen = usePreference("theme");
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return `${chosen} ${dark}`;
}

/** Of `rgb(12, 34, 56)`. */
const colourOf = (text: string): Colour => (text.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number) as Colour;

function mixed(colours: Colour[], share: number): Colour {
  const place = share * (colours.length - 1);
  const index = Math.min(colours.length - 2, Math.floor(place));
  const [from, to] = [colours[index]!, colours[index + 1]!];
  const mix = (channel: 0 | 1 | 2) => from[channel] + (to[channel] - from[channel]) * (place - index);
  return [mix(0), mix(1), mix(2)];
}

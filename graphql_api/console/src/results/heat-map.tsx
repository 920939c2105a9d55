// Numbers in two dimensions as colours, on a canvas.
import { useEffect, useRef } from "react";
import { count, figure } from "../ui/format.ts";

interface HeatMapProps {
  name: string;
  rows: (number | null)[][];
  /** The names of the two dimensions: down, across. */
  dims: string[];
  /** Their lengths, of which `rows` may be a sample. */
  shape: number[];
}

export function HeatMap({ name, rows, dims, shape }: HeatMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = rows[0]?.length ?? 0;
  const known = rows.flat().filter((value) => value !== null);
  const low = known.length ? known.reduce((a, b) => Math.min(a, b)) : 0;
  const high = known.length ? known.reduce((a, b) => Math.max(a, b)) : 0;

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || width === 0) return;
    const image = context.createImageData(width, rows.length);
    rows.forEach((row, y) =>
      row.forEach((value, x) => {
        // A missing value stays transparent.
        if (value !== null) image.data.set(colour(high > low ? (value - low) / (high - low) : 0.5), 4 * (y * width + x));
      }),
    );
    context.putImageData(image, 0, 0);
  }, [rows, width, low, high]);

  return (
    <figure>
      <figcaption>{dims[0]} down, {count(shape[0]!)}; {dims[1]} across, {count(shape[1]!)}</figcaption>
      <canvas
        ref={canvas} className="heat" width={width} height={rows.length} role="img"
        style={{ aspectRatio: `${shape[1]} / ${shape[0]}` }}
        aria-label={`${name}: a heat map of ${count(rows.length)} by ${count(width)} values from ${figure(low)} to ${figure(high)}`}
      />
      <p className="row hint">
        <span>{figure(low)}</span>
        <span className="ramp" />
        <span>{figure(high)}</span>
      </p>
    </figure>
  );
}

/** Points of viridis by matplotlib, which is as even in grey and to colour-blind eyes; `.ramp` in console.css has them too. */
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]] as const;

function colour(share: number): [number, number, number, number] {
  const place = share * (RAMP.length - 1);
  const index = Math.min(RAMP.length - 2, Math.floor(place));
  const [from, to] = [RAMP[index]!, RAMP[index + 1]!];
  const mix = (channel: 0 | 1 | 2) => from[channel] + (to[channel] - from[channel]) * (place - index);
  return [mix(0), mix(1), mix(2), 255];
}

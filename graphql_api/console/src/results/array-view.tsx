// An array result: a line of one dimension, a heat map of two, an index for each further one.
import { useContext, useState } from "react";
import { bytes, count, figure } from "../ui/format.ts";
import { Download } from "../ui/download.tsx";
import { HeatMap } from "./heat-map.tsx";
import { Fact, Facts, RefusalView } from "../ui/parts.tsx";
import { numberOf, Plot } from "../ui/plot.tsx";
import { type Path, ResultContext, useResult } from "./read-result.ts";

const LINE_VALUES = 1000;
const MAP_SIDE = 200;
const LISTED_VALUES = 100;
const NUMERIC = /^(bool|u?int|float|complex)/;

export interface ArrayValue {
  dtype: string;
  shape: string[];
  dims: string[];
  chunks: string[] | null;
  attrs: Record<string, unknown>;
  sizeBytes: string;
  stats: { missing: string; min: number | null; max: number | null; mean: number | null; std: number | null } | null;
  npy: string | null;
  zarr: string | null;
}

export function ArrayView({ array, path, name }: { array: ArrayValue; path: Path; name: string }) {
  const readable = useContext(ResultContext) !== undefined;
  const shape = array.shape.map(Number);
  const dims = shape.map((_, dimension) => array.dims[dimension] ?? `axis ${dimension}`);
  const shown = Math.min(2, shape.length);
  const outer = shape.length - shown;
  const [places, setPlaces] = useState<number[]>(() => shape.slice(0, outer).map(() => 0));
  const numeric = NUMERIC.test(array.dtype);
  const most = !numeric ? LISTED_VALUES : shown === 2 ? MAP_SIDE : LINE_VALUES;
  // Every n-th value, so that the whole of each shown dimension is seen; of what cannot be drawn the first ones.
  const steps = shape.map((length, dimension) => (dimension < outer || !numeric ? 1 : Math.max(1, Math.ceil(length / most))));
  const starts = shape.map((_, dimension) => places[dimension] ?? 0);
  const stops = shape.map((length, dimension) =>
    dimension < outer ? starts[dimension]! + 1 : numeric ? length : Math.min(length, shown === 2 ? 10 : most));
  const empty = shape.some((length) => length === 0);
  const { data, reason, busy } = useResult<{ slice: unknown }>(
    path, readable && !empty ? `slice(start: ${longs(starts)}, stop: ${longs(stops)}, step: ${longs(steps)})` : undefined,
  );
  const values = data && places.reduce<unknown>((part) => (part as unknown[])[0], data.slice);
  const sampled = steps.map((step, dimension) => step > 1 && `1 in ${count(step)} along ${dims[dimension]}`).filter(Boolean);

  return (
    <div className="data">
      <Facts>
        <Fact name="Type">{array.dtype}</Fact>
        <Fact name="Shape">{shape.length === 0 ? "a single value" : shape.map((length, dimension) => [array.dims[dimension], count(length)].filter(Boolean).join(" ")).join(" × ")}</Fact>
        <Fact name="Size">{bytes(Number(array.sizeBytes))}{array.chunks && `, in chunks of ${array.chunks.map(Number).map(count).join(" × ")}`}</Fact>
        {array.stats && (["min", "max", "mean", "std"] as const).map((key) => (
          <Fact key={key} name={key}>{array.stats![key] !== null && figure(array.stats![key])}</Fact>
        ))}
        <Fact name="missing" title="Values that are NaN">{Number(array.stats?.missing) > 0 && count(Number(array.stats!.missing))}</Fact>
        {Object.entries(array.attrs).slice(0, 20).map(([key, value]) => (
          <Fact key={key} name={key}>{typeof value === "string" ? value : JSON.stringify(value)}</Fact>
        ))}
      </Facts>
      {places.map((place, dimension) => (
        <label key={dimension} className="row hint">
          {dims[dimension]}
          <input
            type="range" min={0} max={Math.max(0, shape[dimension]! - 1)} value={place}
            onChange={(event) => setPlaces(places.map((old, index) => (index === dimension ? Number(event.target.value) : old)))}
          />
          <span>{count(place)} of 0 to {count(Math.max(0, shape[dimension]! - 1))}</span>
        </label>
      ))}
      {reason && <RefusalView reason={reason} />}
      <div aria-busy={busy}>
        {values !== undefined && <Values {...{ values, numeric, shown, name, dims: dims.slice(outer), shape: shape.slice(outer) }} />}
      </div>
      {sampled.length > 0 && <p className="hint">Values drawn: {sampled.join(", ")}.</p>}
      <p className="row hint">
        {array.npy && <Download url={array.npy} file={`${name.replace(/\W+/g, "-")}.npy`} label=".npy" />}
        {array.zarr && <span>Zarr: <code>{`${location.origin}${array.zarr}`}</code></span>}
      </p>
    </div>
  );
}

interface ValuesProps {
  values: unknown;
  numeric: boolean;
  /** The number of dimensions of `values`. */
  shown: number;
  name: string;
  dims: string[];
  shape: number[];
}

function Values({ values, numeric, shown, name, dims, shape }: ValuesProps) {
  if (shown === 0) return <span className="figure">{JSON.stringify(values)}</span>;
  if (!numeric) return <pre className="scroll" tabIndex={0} role="region" aria-label={name}>{JSON.stringify(values, null, 1)}</pre>;
  if (shown === 1) {
    return <Plot title={dims[0]!} values={(values as unknown[]).map(numberOf)} from="0" to={count(shape[0]! - 1)} />;
  }
  return <HeatMap name={name} rows={(values as unknown[][]).map((row) => row.map(numberOf))} dims={dims} shape={shape} />;
}

const longs = (numbers: number[]): string => `[${numbers.map((number) => `"${number}"`).join(", ")}]`;

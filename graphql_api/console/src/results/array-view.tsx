// An array result: a line of one dimension, a heat map of two, an index for each further one.
import { useContext, useId, useState } from "react";
import { Loading } from "../ui/banner.tsx";
import { bytes, count, figure } from "../ui/format.ts";
import { Download } from "../ui/download.tsx";
import { Icon } from "../ui/icon.tsx";
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
  const [listed, setListed] = useState(false);
  const id = useId();
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

  const move = (dimension: number, place: number) => setPlaces(places.map((old, index) => (index === dimension ? place : old)));

  return (
    <div className="data">
      <div className="row tablehead">
        <span className="small muted">
          {array.dtype} · {shape.length === 0 ? "a single value" : shape.map((length, dimension) => [array.dims[dimension], count(length)].filter(Boolean).join(" ")).join(" × ")}
          {" · "}{bytes(Number(array.sizeBytes))}{array.chunks && `, in chunks of ${array.chunks.map(Number).map(count).join(" × ")}`}
        </span>
        <span className="row end pages">
          {shown === 2 && numeric && (
            <div className="seg" role="group" aria-label="View">
              <button type="button" aria-pressed={!listed} onClick={() => setListed(false)}>Heat map</button>
              <button type="button" aria-pressed={listed} onClick={() => setListed(true)}>Numbers</button>
            </div>
          )}
          {array.npy && <Download url={array.npy} file={`${name.replace(/\W+/g, "-")}.npy`} label=".npy" />}
        </span>
      </div>
      {places.map((place, dimension) => {
        const last = Math.max(0, shape[dimension]! - 1);
        return (
          <div key={dimension} className="row slider">
            <label className="small" htmlFor={`${id}-${dimension}`}>{dims[dimension]}</label>
            <button type="button" className="btn icon slim" aria-label={`${dims[dimension]}: one less`} disabled={place === 0} onClick={() => move(dimension, place - 1)}><Icon name="left" /></button>
            <input id={`${id}-${dimension}`} type="range" min={0} max={last} value={place} onChange={(event) => move(dimension, Number(event.target.value))} />
            <button type="button" className="btn icon slim" aria-label={`${dims[dimension]}: one more`} disabled={place === last} onClick={() => move(dimension, place + 1)}><Icon name="right" /></button>
            <span className="small muted">{count(place)} of 0 to {count(last)}</span>
          </div>
        );
      })}
      {reason && <RefusalView reason={reason} />}
      {!data && busy && readable && !empty && <Loading what="the values" rows={8} />}
      <div aria-busy={busy}>
        {values !== undefined && <Values {...{ values, numeric, shown, name, listed, dims: dims.slice(outer), shape: shape.slice(outer) }} />}
      </div>
      {sampled.length > 0 && <p className="small muted">Values drawn: {sampled.join(", ")}.</p>}
      <Facts>
        {array.stats && ([["min", "Smallest"], ["mean", "Mean"], ["max", "Largest"], ["std", "Deviation"]] as const).map(([key, words]) => (
          <Fact key={key} name={words} title={key === "std" ? "Standard deviation" : null}>{array.stats![key] !== null && figure(array.stats![key])}</Fact>
        ))}
        <Fact name="Not a number">{Number(array.stats?.missing) > 0 && count(Number(array.stats!.missing))}</Fact>
        {Object.entries(array.attrs).slice(0, 20).map(([key, value]) => (
          <Fact key={key} name={key}>{typeof value === "string" ? value : JSON.stringify(value)}</Fact>
        ))}
        <Fact name="Zarr">{array.zarr && <code className="anywhere">{`${location.origin}${array.zarr}`}</code>}</Fact>
      </Facts>
    </div>
  );
}

interface ValuesProps {
  values: unknown;
  numeric: boolean;
  /** The number of dimensions of `values`. */
  shown: number;
  /** As numbers rather than as a picture. */
  listed: boolean;
  name: string;
  dims: string[];
  shape: number[];
}

function Values({ values, numeric, shown, listed, name, dims, shape }: ValuesProps) {
  if (shown === 0) return <span className="mono">{JSON.stringify(values)}</span>;
  if (!numeric) return <pre className="codeblock tall" tabIndex={0} role="region" aria-label={name}>{JSON.stringify(values, null, 1)}</pre>;
  if (shown === 1) {
    return <Plot title={dims[0]!} values={(values as unknown[]).map(numberOf)} from="0" to={count(shape[0]! - 1)} />;
  }
  if (listed) return <Numbers rows={values as unknown[][]} name={name} />;
  return <HeatMap name={name} rows={(values as unknown[][]).map((row) => row.map(numberOf))} dims={dims} shape={shape} />;
}

const LISTED_SIDE = 50;

const Numbers = ({ rows, name }: { rows: unknown[][]; name: string }) => (
  <div className="tablewrap tall edged" tabIndex={0} role="region" aria-label={`${name}: numbers`}>
    <table className="grid-table">
      <tbody>
        {rows.slice(0, LISTED_SIDE).map((row, index) => (
          <tr key={index}>{row.slice(0, LISTED_SIDE).map((value, place) => <td key={place} className="num">{typeof value === "number" ? figure(value) : JSON.stringify(value)}</td>)}</tr>
        ))}
      </tbody>
    </table>
    {(rows.length > LISTED_SIDE || (rows[0]?.length ?? 0) > LISTED_SIDE) && <p className="advice small muted">The first {LISTED_SIDE} of each; the download has all.</p>}
  </div>
);

const longs = (numbers: number[]): string => `[${numbers.map((number) => `"${number}"`).join(", ")}]`;

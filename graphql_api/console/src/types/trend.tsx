// Run times and failures over time.
import { useState } from "react";
import { clock, count, duration } from "../ui/format.ts";
import type { Point } from "./operations.ts";

const WIDTH = 1000;
const HEIGHT = 100;

/** A round number of seconds at or above `most`, in thirds of which an axis is read. */
function top(most: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 0.003) / 3));
  return ([1, 2, 5, 10].find((factor) => factor * power * 3 >= most) ?? 10) * power * 3;
}

/** A line with gaps where nothing ran. */
function line(values: (number | null)[], high: number): string {
  let begun = false;
  return values
    .map((value, index) => {
      if (value === null) {
        begun = false;
        return "";
      }
      const x = (index / Math.max(1, values.length - 1)) * WIDTH;
      const y = (HEIGHT - (value / high) * HEIGHT).toFixed(1);
      // A point without neighbours is a short line.
      const alone = !begun && (values[index + 1] ?? null) === null;
      const place = `${begun ? "L" : "M"}${Math.max(0, alone ? x - 10 : x).toFixed(0)} ${y}`;
      begun = true;
      return alone ? `${place}h10` : place;
    })
    .join("");
}

export function Trend({ name, points }: { name: string; points: Point[] }) {
  const [at, setAt] = useState<number>();
  const high = top(Math.max(...points.map(({ runP50, runP95 }) => Math.max(runP50 ?? 0, runP95 ?? 0))));
  const shares = points.map(({ failed, succeeded, cancelled }) => {
    const ended = failed + succeeded + cancelled;
    return ended > 0 ? failed / ended : 0;
  });
  const failures = shares.some(Boolean) ? line(shares.map((share) => share * high), high) : "";
  const shown = at === undefined ? undefined : points[at];
  const newest = points.findLast(({ runP50 }) => runP50 !== null);
  const ends = [points[0], points[Math.floor(points.length / 2)], points.at(-1)].flatMap((point) => point ?? []);
  const move = (event: React.PointerEvent) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setAt(Math.max(0, Math.min(points.length - 1, Math.round(((event.clientX - left) / width) * (points.length - 1)))));
  };
  return (
    <div className="body trend">
      <div className="row">
        <h3>Run time and failures</h3>
        <p className="legend end">
          <span><i className="k1" />p50</span>
          <span><i className="k3" />p95</span>
          <span><i className="k5 box" />Failed, share</span>
        </p>
      </div>
      <div
        className="chart" role="img"
        aria-label={`Run time of ${name}: ${newest?.runP50 ? `p50 last ${duration(newest.runP50 * 1000)}, p95 ${duration((newest.runP95 ?? 0) * 1000)}` : "no run"}; ${count(points.reduce((sum, { failed }) => sum + failed, 0))} failed`}
      >
        <div className="y" aria-hidden="true">
          {[0, 1, 2, 3].map((third) => (
            <span key={third} style={{ top: `${100 - (third / 3) * 100}%` }}>{third === 0 ? "0" : duration((third / 3) * high * 1000)}</span>
          ))}
        </div>
        <div className="plot" aria-hidden="true" onPointerMove={move} onPointerLeave={() => setAt(undefined)}>
          {[1, 2, 3].map((third) => <i key={third} className="grid" style={{ top: `${100 - (third / 3) * 100}%` }} />)}
          <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
            {failures && <path className="area k5" d={`${failures}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />}
            {failures && <path className="k5" d={failures} />}
            <path className="k3 dash" d={line(points.map(({ runP95 }) => runP95), high)} />
            <path className="k1" d={line(points.map(({ runP50 }) => runP50), high)} />
          </svg>
          {shown && at !== undefined && (
            <>
              <i className="cursor" style={{ left: `${(at / Math.max(1, points.length - 1)) * 100}%` }} />
              <div className="tip" style={at > points.length / 2 ? { left: 0 } : { right: 0 }}>
                <b>{clock(shown.at)}</b>
                <br />
                {shown.runP50 === null ? "nothing ran" : `p50 ${duration(shown.runP50 * 1000)} · p95 ${duration((shown.runP95 ?? 0) * 1000)}`}
                <br />
                {count(shown.failed)} of {count(shown.failed + shown.succeeded + shown.cancelled)} failed
              </div>
            </>
          )}
        </div>
        <div className="x" aria-hidden="true">
          {ends.map((point, index) => <span key={point.at + index} style={{ left: `${index * 50}%` }}>{clock(point.at).replace(/:\d\d(?=$| )/, "")}</span>)}
        </div>
      </div>
    </div>
  );
}

// Run times and failures of a task type over time.
import { Chart, type Series } from "../ui/chart.tsx";
import type { Point } from "./operations.ts";

const GROUP = "type";

export function Trend({ points }: { points: Point[] }) {
  const times = points.map(({ at }) => Date.parse(at));
  const of = (name: "runP50" | "runP95" | "failed") => points.map((point) => point[name]);
  const runTimes: Series[] = [{ name: "p50", tone: 1, values: of("runP50") }, { name: "p95", tone: 3, look: "dash", values: of("runP95") }];
  return (
    <div className="body trend stack">
      <Chart title="Run time" heading="h3" times={times} series={runTimes} unit="seconds" group={GROUP} empty="No run ended in this time." />
      {points.some(({ failed }) => failed > 0) && (
        <Chart title="Failed runs" heading="h3" times={times} series={[{ name: "Failed", tone: 5, look: "area", values: of("failed") }]} group={GROUP} />
      )}
    </div>
  );
}

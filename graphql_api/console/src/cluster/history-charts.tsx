// How the cluster has gone: the same period in each chart, and one cursor.
import { Chart, type Series } from "../ui/chart.tsx";
import type { History, HistoryPoint } from "./operations.ts";
import type { Period } from "./period.ts";

/** A shorter part of a point says little about a rate. */
const LEAST_SECONDS = 15;

interface HistoryChartsProps {
  history: History;
  period: Period;
  marked: [from: number, to: number] | undefined;
  onMark(from: number, to: number): void;
}

export function HistoryCharts({ history, marked, onMark }: HistoryChartsProps) {
  const end = Date.parse(history.to);
  const all = history.points.map((point) => ({ ...point, time: Date.parse(point.at) }));
  const points = marked ? all.filter(({ time }) => time >= marked[0] - history.stepSeconds * 1000 && time <= marked[1]) : all;
  const times = points.map(({ time }) => time);
  const of = (name: keyof HistoryPoint) => points.map((point) => point[name] as number | null);
  /** For each minute; the newest point is not over, so its length is that until now. */
  const aMinute = (name: "succeeded" | "failed") =>
    points.map((point, index) => {
      const seconds = Math.min(history.stepSeconds, (end - times[index]!) / 1000);
      return seconds < LEAST_SECONDS ? null : (point[name] / seconds) * 60;
    });
  const percentiles = (kind: "wait" | "run"): Series[] => [
    { name: "p50", tone: 1, values: of(`${kind}P50`) },
    { name: "p95", tone: 3, look: "dash", values: of(`${kind}P95`) },
    { name: "p99", tone: 4, look: "dot", values: of(`${kind}P99`) },
  ];
  const shared = { times, from: marked?.[0] ?? times[0], to: marked?.[1] ?? end, onPeriod: onMark };
  const priced = points.some(({ costPerHour }) => costPerHour !== null);
  const counted = points.some(({ waiting }) => waiting !== null);
  return (
    <div className="chartgrid">
      <Chart
        title="Finished tasks a minute" {...shared} unit="rate"
        series={[{ name: "Succeeded", tone: 2, look: "area", values: aMinute("succeeded") }, { name: "Failed", tone: 5, look: "area", values: aMinute("failed") }]}
      />
      {counted && (
        <Chart
          title="Open tasks" {...shared} stacked
          series={[{ name: "Running", tone: 1, values: of("running") }, { name: "Waiting", tone: 4, values: of("waiting") }]}
        />
      )}
      <Chart title="Time until a task starts" {...shared} unit="seconds" series={percentiles("wait")} empty="No task started in this time." />
      <Chart title="Run time" {...shared} unit="seconds" series={percentiles("run")} empty="No task ended in this time." />
      <Chart
        title="Workers" {...shared}
        series={[{ name: "Wanted", tone: 6, look: "dash", values: of("wanted") }, { name: "Connected", tone: 1, values: of("workers") }]}
      />
      {priced && <Chart title="Cost an hour" {...shared} unit="dollars" series={[{ name: "Cost", tone: 3, look: "area", values: of("costPerHour") }]} />}
    </div>
  );
}

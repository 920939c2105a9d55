// How the progress of the newest attempt went: steady, slower and slower, or stuck.
import type { TaskEvent } from "@dask-graphql/client";
import { Chart } from "../ui/chart.tsx";
import { duration } from "../ui/format.ts";

const PERCENT = { format: (value: number) => `${Math.round(value * 100)} %`, least: 0.1 };

/** Fewer reports make no curve. */
const LEAST_REPORTS = 3;

/** @param until where the axis ends, in milliseconds since 1970: now, while the attempt runs. */
export function ProgressCurve({ events, attempt, until }: { events: TaskEvent[]; attempt: number; until: number }) {
  const own = events.filter((event) => event.attempt === attempt);
  const reports = own.filter(({ kind, progress }) => kind === "PROGRESS" && progress !== null);
  const start = Date.parse(own.find(({ kind }) => kind === "STARTED")?.at ?? reports[0]?.at ?? "");
  if (reports.length < LEAST_REPORTS || Number.isNaN(start)) return null;
  return (
    <Chart
      title="Progress" heading="h3" unit={PERCENT} from={start} to={Math.max(until, Date.parse(reports.at(-1)!.at))} group="progress"
      times={[start, ...reports.map(({ at }) => Date.parse(at))]} at={(time) => (time <= start ? "Start" : `+${duration(time - start)}`)}
      series={[{ name: "Done", tone: 1, look: "area", values: [0, ...reports.map(({ progress }) => progress)] }]}
    />
  );
}

// The cluster in six numbers; each with a list leads to it.
import type { ReactNode } from "react";
import type { Cluster } from "../api/operations.ts";
import { address } from "../app/route.ts";
import { count, counted, dollars, duration } from "../ui/format.ts";
import type { Cost, History } from "./operations.ts";
import type { Period } from "./period.ts";
import { inState } from "./watch.ts";

export function Figures({ cluster, history, cost, period }: { cluster: Cluster; history: History | undefined; cost: Cost | undefined; period: Period }) {
  const { fleet, workers } = cluster;
  const running = workers.filter(({ state }) => state === "RUNNING");
  const starting = workers.filter(({ state, problem }) => state === "STARTING" && !problem).length;
  const failing = workers.filter(({ problem }) => problem).length;
  const launching = Math.max(starting, fleet?.launching ?? 0);
  const threads = running.reduce((sum, worker) => sum + worker.threads, 0);
  const sum = sums(history);
  const list = (state: string) => address(["tasks"], { state, ended: period.key });
  const perHour = cost?.perHour ?? fleet?.costPerHour;
  const oldest = cluster.oldestWaitingSeconds;
  return (
    <div className="figures six">
      <Figure name="Workers" value={count(running.length)} unit={fleet?.wanted != null && fleet.wanted !== running.length ? `of ${count(fleet.wanted)} wanted` : ""} to="workers">
        {[counted(threads, "thread"), launching > 0 && `${launching} starting`, failing > 0 && `${failing} cannot start`].filter(Boolean).join(" · ")}
      </Figure>
      <Figure name="Running" value={count(inState(cluster, "RUNNING"))} href="#/tasks?state=running">
        {cluster.processing > inState(cluster, "RUNNING") ? `${count(cluster.processing)} parts with workers` : "tasks with workers"}
      </Figure>
      <Figure name="Waiting" value={count(inState(cluster, "QUEUED"))} href="#/tasks?state=queued">
        {oldest == null ? "nothing waits" : `Oldest ${duration(oldest * 1000)}`}
      </Figure>
      <Figure name="Finished" value={sum ? count(sum.succeeded) : "–"} href={list("succeeded")}>
        {sum ? `in ${period.said}` : "not known yet"}
      </Figure>
      <Figure name="Failed" value={sum ? count(sum.failed) : "–"} unit={sum && sum.failed > 0 ? share(sum.failed, sum.failed + sum.succeeded) : ""} href={list("failed")}>
        {sum ? `in ${period.said}` : "not known yet"}
      </Figure>
      {perHour != null ? (
        <Figure name="Cost now" value={dollars(perHour)} unit="an hour">{cost ? `${dollars(cost.today)} today` : "by the prices in the settings"}</Figure>
      ) : (
        <Figure name="Cancelled" value={sum ? count(sum.cancelled) : "–"} href={list("cancelled")}>{sum ? `in ${period.said}` : "not known yet"}</Figure>
      )}
    </div>
  );
}

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(part / whole < 0.1 ? 1 : 0)} %`;

const sums = (history: History | undefined) =>
  history?.points.reduce((all, { succeeded, failed, cancelled }) => ({ succeeded: all.succeeded + succeeded, failed: all.failed + failed, cancelled: all.cancelled + cancelled }), { succeeded: 0, failed: 0, cancelled: 0 });

interface FigureProps {
  name: string;
  value: string;
  unit?: string;
  /** An address, or the id of a part of this page. */
  href?: string;
  to?: string;
  children: ReactNode;
}

function Figure({ name, value, unit, href, to, children }: FigureProps) {
  const content = (
    <>
      <span>{name}</span>
      <strong>{value} {unit && <small>{unit}</small>}</strong>
      <span>{children}</span>
    </>
  );
  if (href) return <a className="figure" href={href}>{content}</a>;
  if (!to) return <div className="figure">{content}</div>;
  return (
    <a className="figure" href="#/cluster" onClick={(event) => { event.preventDefault(); document.getElementById(to)?.focus(); }}>{content}</a>
  );
}

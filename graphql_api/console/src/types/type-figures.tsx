// How the runs of a task type went: how many, how long, how many failed, and why.
import { useState } from "react";
import { usePoll } from "../api/poll.ts";
import type { TaskType } from "../api/task-types.ts";
import { address } from "../app/route.ts";
import { count, duration } from "../ui/format.ts";
import { FIGURES_MILLISECONDS, type Stats, STATS } from "./operations.ts";
import { Trend } from "./trend.tsx";

/** The api keeps one day. */
const PERIODS: [words: string, seconds: number, ended: string][] = [["1 h", 3600, "1h"], ["6 h", 21_600, "6h"], ["24 h", 86_400, "24h"]];

export function TypeFigures({ type }: { type: TaskType }) {
  const [[words, seconds, ended], setPeriod] = useState(PERIODS[2]!);
  const { data } = usePoll<{ taskTypes: { stats: Stats | null }[] }>(STATS, { names: [type.name], seconds }, FIGURES_MILLISECONDS);
  const stats = data?.taskTypes[0]?.stats;
  const list = (more: Record<string, string> = {}) => address(["tasks"], { type: type.name, ended, ...more });
  const time = (value: number | null | undefined) => (value === null || value === undefined ? "–" : duration(value * 1000));
  if (!stats) return null;
  const share = stats.runs > 0 ? (stats.failed / stats.runs) * 100 : 0;
  const most = Math.max(1, ...stats.errors.map((error) => error.count));
  return (
    <section className="card" aria-labelledby="figures">
      <header>
        <h2 id="figures">Last {words === "1 h" ? "hour" : words.replace("h", "hours")}</h2>
        <div className="seg end" role="group" aria-label="Period">
          {PERIODS.map((period) => (
            <button type="button" key={period[0]} aria-pressed={period[1] === seconds} onClick={() => setPeriod(period)}>{period[0]}</button>
          ))}
        </div>
      </header>
      <div className="figures four">
        <a className="figure" href={list()}>
          <span>Runs that ended</span>
          <strong>{count(stats.runs)}</strong>
          <span>{stats.cancelled > 0 ? `${count(stats.cancelled)} cancelled` : "\u00a0"}</span>
        </a>
        <div className="figure">
          <span>Usual time (p50)</span>
          <strong>{time(stats.runP50)}</strong>
          <span>waited {time(stats.waitP50)}</span>
        </div>
        <div className="figure">
          <span>Slow runs (p95)</span>
          <strong>{time(stats.runP95)}</strong>
          <span>{type.timeoutSeconds === null ? `waited ${time(stats.waitP95)}` : `limit ${time(type.timeoutSeconds)}`}</span>
        </div>
        <a className="figure" href={list({ state: "failed" })}>
          <span>Failed</span>
          <strong className={stats.failed > 0 ? "bad" : undefined}>
            {count(stats.failed)} {stats.failed > 0 && <small>{share < 1 ? "under 1" : Math.round(share)} %</small>}
          </strong>
          <span>{stats.succeeded > 0 ? `${count(stats.succeeded)} succeeded` : "\u00a0"}</span>
        </a>
      </div>
      {stats.runs > 0 && <Trend points={stats.history} />}
      {stats.errors.length > 0 && (
        <div className="body why">
          <h3>Why runs failed</h3>
          {stats.errors.map((error) => (
            <div className="hbar" key={error.code}>
              <a className="clip" href={list({ state: "failed", error: error.code })}>{error.code}</a>
              <span className="b k5" style={{ width: `${(error.count / most) * 100}%` }} />
              <span>{count(error.count)}</span>
            </div>
          ))}
        </div>
      )}
    </section>
  );
}

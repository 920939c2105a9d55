// What the controller has decided, and why.
import { useState } from "react";
import type { Fleet } from "../api/operations.ts";
import { Empty } from "../ui/banner.tsx";
import { axisTime, counted, duration, wholeTime } from "../ui/format.ts";

const FIRST = 6;

export function Decisions({ fleet }: { fleet: Fleet | null }) {
  const [all, setAll] = useState(false);
  const decisions = fleet?.decisions ?? [];
  return (
    <section className="card" aria-labelledby="decisions">
      <header>
        <h2 id="decisions">What was decided, and why</h2>
        {fleet && (
          <span className="end muted small">
            {fleet.minWorkers} to {counted(fleet.maxWorkers, "worker")}
            {fleet.launchSeconds != null && ` · a start takes ${duration(fleet.launchSeconds * 1000)}`}
          </span>
        )}
      </header>
      {!fleet ? (
        <Empty icon="cluster" title="No controller runs">Nothing starts or stops workers by itself. Start them by hand, or start a controller.</Empty>
      ) : (
        <>
          <ol className="decisions">
            {decisions.length === 0 && <li><span /><span /><span>{fleet.reason}</span></li>}
            {decisions.slice(0, all ? undefined : FIRST).map(({ at, started, stopped, reason }) => (
              <li key={at}>
                <time dateTime={at} title={wholeTime(at)}>{axisTime(Date.parse(at), Date.now() - Date.parse(at))}</time>
                <span className="delta">{[started > 0 && `+${started}`, stopped > 0 && `−${stopped}`].filter(Boolean).join(" ")}</span>
                <span>{reason}</span>
              </li>
            ))}
          </ol>
          {decisions.length > FIRST && (
            <div className="foot">
              <button type="button" className="btn slim" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show all ${decisions.length}`}</button>
            </div>
          )}
        </>
      )}
    </section>
  );
}

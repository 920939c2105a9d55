// What failed tasks have in common, the largest group first.
import { useMemo } from "react";
import { useNow, usePoll } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { count, shortTime, wholeTime } from "../ui/format.ts";
import { type FailureGroup, FAILURES } from "./operations.ts";
import type { Period } from "./period.ts";

const MINUTE_MILLISECONDS = 60_000;

export function FailuresCard({ period }: { period: Period }) {
  const minute = Math.floor(useNow(true) / MINUTE_MILLISECONDS);
  const after = useMemo(() => new Date((minute * 60 - period.seconds) * 1000).toISOString(), [minute, period]);
  const { data } = usePoll<{ failures: FailureGroup[] | null }>(FAILURES, { after }, MINUTE_MILLISECONDS);
  const groups = data?.failures ?? [];
  if (groups.length === 0) return null;
  return (
    <section className="card" aria-labelledby="failures">
      <header>
        <h2 id="failures">What failed</h2>
        <span className="end muted small">In {period.said}</span>
      </header>
      <div className="tablewrap" tabIndex={0} role="group" aria-label="What failed">
        <table>
          <thead>
            <tr><th scope="col" className="num">Tasks</th><th scope="col">Task type</th><th scope="col">Error</th><th scope="col">Last</th></tr>
          </thead>
          <tbody>
            {groups.map(({ name, code, message, count: number, newestAt, taskIds }) => (
              <tr key={`${name} ${code} ${message}`}>
                <td className="num"><a href={address(["tasks"], { state: "failed", type: name, error: code, ended: period.key })}>{count(number)}</a></td>
                <td><a className="strongname" href={address(["types", name])}>{name}</a></td>
                <td className="message" title={message}><a className="strongname" href={address(["tasks", taskIds[0]!])}>{message || code}</a></td>
                <td className="nowrap">{newestAt && <time dateTime={newestAt} title={wholeTime(newestAt)}>{shortTime(newestAt)}</time>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

// What failed tasks have in common, the largest group first.
import type { TaskFilter } from "@dask-graphql/client";
import { useMemo } from "react";
import { useNow, usePoll } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { type Actions, useActions } from "../tasks/use-actions.tsx";
import { count, shortTime, wholeTime } from "../ui/format.ts";
import { type FailureGroup, FAILURES } from "./operations.ts";
import type { Period } from "./period.ts";

const MINUTE_MILLISECONDS = 60_000;

export function FailuresCard({ period }: { period: Period }) {
  const minute = Math.floor(useNow(true) / MINUTE_MILLISECONDS);
  const after = useMemo(() => new Date((minute * 60 - period.seconds) * 1000).toISOString(), [minute, period]);
  const { data, refresh } = usePoll<{ failures: FailureGroup[] | null }>(FAILURES, { after }, MINUTE_MILLISECONDS);
  const actions = useActions(refresh);
  const retry = ({ key, count: number }: FailureGroup) =>
    actions.start("retry", { where: { failureGroup: key, finishedAfter: after } as TaskFilter, count: number, states: ["FAILED"] });
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
            <tr><th scope="col" className="num">Tasks</th><th scope="col">Task type</th><th scope="col">Error</th><th scope="col">Last</th><th scope="col"><span className="visually-hidden">What you can do</span></th></tr>
          </thead>
          <tbody>
            {groups.map((group) => <Group key={group.key} group={group} period={period} actions={actions} onRetry={() => void retry(group)} />)}
          </tbody>
        </table>
      </div>
      {actions.question}
    </section>
  );
}

function Group({ group: { key, name, code, message, count: number, newestAt, taskIds }, period, actions, onRetry }: { group: FailureGroup; period: Period; actions: Actions; onRetry(): void }) {
  const why = actions.refusedBecause("retry");
  return (
    <tr>
      <td className="num"><a href={address(["tasks"], { failure: key, ended: period.key })}>{count(number)}</a></td>
      <td><a className="strongname" href={address(["types", name])}>{name}</a></td>
      <td className="message" title={message}><a className="strongname" href={address(["tasks", taskIds[0]!])}>{message || code}</a></td>
      <td className="nowrap">{newestAt && <time dateTime={newestAt} title={wholeTime(newestAt)}>{shortTime(newestAt)}</time>}</td>
      <td className="num"><button type="button" className="btn slim" disabled={actions.busy || why !== undefined} title={why} onClick={onRetry} aria-label={`Run again: ${message || code}`}>Run again</button></td>
    </tr>
  );
}

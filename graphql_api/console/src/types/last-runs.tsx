// The newest tasks of a type, live.
import { useTasks } from "@dask-graphql/react";
import type { TaskSummary } from "@dask-graphql/client";
import { useNow } from "../api/poll.ts";
import type { TaskType } from "../api/task-types.ts";
import { address } from "../app/route.ts";
import { between, shortTime, wholeTime } from "../ui/format.ts";
import { State, stateKey } from "../ui/state.tsx";

const SHOWN = 8;

export function LastRuns({ type }: { type: TaskType }) {
  const { tasks } = useTasks({ where: { names: [type.name] }, first: SHOWN });
  const running = tasks?.some(({ state }) => state === "RUNNING") ?? false;
  const now = useNow(running);
  const longest = Math.max(1, ...(tasks ?? []).map((task) => spent(task, now)));
  if (!tasks) return null;
  return (
    <section className="card" aria-labelledby="last-runs">
      <header>
        <h2 id="last-runs">Last runs</h2>
        {tasks.length > 0 && <a className="end small" href={address(["tasks"], { type: type.name })}>All runs</a>}
      </header>
      {tasks.length === 0 ? (
        <p className="body muted small">Nobody has run it yet, or the results have expired.</p>
      ) : (
        <div className="tablewrap">
          <table>
            <thead>
              <tr>
                <th scope="col">State</th>
                <th scope="col" className="num">Submitted</th>
                <th scope="col">Run time</th>
              </tr>
            </thead>
            <tbody>
              {tasks.map((task) => (
                <tr key={task.taskId}>
                  <td><State state={task.state} progress={task.progress} /></td>
                  <td className="num">
                    <a className="strongname" href={address(["tasks", task.taskId])} title={wholeTime(task.submittedAt)}>{shortTime(task.submittedAt)}</a>
                  </td>
                  <td>
                    <div className={`dur s-${stateKey(task.state)}`}>
                      <span className="track" aria-hidden="true"><i style={{ width: `${(spent(task, now) / longest) * 100}%` }} /></span>
                      <span>{between(task.startedAt, task.finishedAt, now) ?? "–"}</span>
                    </div>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const spent = ({ startedAt, finishedAt }: TaskSummary, now: number): number =>
  startedAt ? Math.max(0, (finishedAt ? Date.parse(finishedAt) : now) - Date.parse(startedAt)) : 0;

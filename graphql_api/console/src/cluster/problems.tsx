// What is wrong, the most urgent first, and what to do about it.
import type { Cluster, Problem } from "../api/operations.ts";
import { address } from "../app/route.ts";
import { Banner } from "../ui/banner.tsx";
import { counted, duration, shortTime, wholeTime } from "../ui/format.ts";
import { inState } from "./watch.ts";

/** A cluster in trouble has many; the first ones tell what to do. */
const SHOWN = 4;

export function Problems({ cluster }: { cluster: Cluster }) {
  const problems = cluster.problems ?? [];
  return problems.length === 0 ? null : (
    <section className="stack" aria-label="Problems">
      {problems.slice(0, SHOWN).map((problem, index) => (
        <Banner key={index} kind={problem.code === "SCHEDULER_UNAVAILABLE" || problem.code === "NO_WORKERS" ? "failed" : "warning"} title={problem.message} actions={<Action problem={problem} cluster={cluster} />}>
          <p>
            {problem.since && <span title={wholeTime(problem.since)}>Since {shortTime(problem.since)}, for {duration(Date.now() - Date.parse(problem.since))}. </span>}
            <span className="muted">{problem.advice}</span>
          </p>
        </Banner>
      ))}
      {problems.length > SHOWN && <p className="muted small">And {problems.length - SHOWN} more.</p>}
    </section>
  );
}

/** The list that tells more. */
function Action({ problem: { code, name, schedule }, cluster }: { problem: Problem; cluster: Cluster }) {
  if (code === "TASK_TYPE_FAILS" && name) return <a className="btn" href={address(["tasks"], { state: "failed", type: name })}>Show its failures</a>;
  if (code === "TASK_TYPE_PAUSED" && name) return <a className="btn" href={address(["types", name])}>Open the task type</a>;
  if (schedule) return <a className="btn" href={address(["schedules", schedule])}>Open the schedule</a>;
  const waiting = inState(cluster, "QUEUED");
  return waiting === 0 ? null : <a className="btn" href="#/tasks?state=queued">Show {counted(waiting, "task")}</a>;
}

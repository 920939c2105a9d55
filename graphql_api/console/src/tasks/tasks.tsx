// The list of tasks, live.
import { isFinal } from "@dask-graphql/client";
import { ago, between, call, count } from "../ui/format.ts";
import { useNow } from "../api/poll.ts";
import { type Cluster, STATES, type TaskLine } from "../api/operations.ts";
import { Progress, RefusalView, StateMark } from "../ui/parts.tsx";
import { useTaskPage } from "./task-page.ts";
import type { TaskType } from "../api/task-types.ts";

const PAGE = 25;

interface TasksProps {
  taskTypes: TaskType[];
  cluster: Cluster | undefined;
  /** The filters are in the address, so that they can be bookmarked, shared, and restored by going back. */
  query: URLSearchParams;
}

export function TasksPage({ taskTypes, cluster, query }: TasksProps) {
  const state = STATES.find((option) => option === query.get("state")) ?? "";
  const name = query.get("type") ?? "";
  // The cursors of the pages before this one.
  const above = query.getAll("after");
  const show = (shown: { state?: string; name?: string; above?: string[] }) => {
    const next = { state, name, above: [], ...shown };
    const parameters = new URLSearchParams([
      ...(next.state ? [["state", next.state]] : []), ...(next.name ? [["type", next.name]] : []),
      ...next.above.map((cursor) => ["after", cursor]),
    ]);
    location.hash = parameters.size > 0 ? `#/tasks?${parameters}` : "#/tasks";
  };
  const after = above.at(-1);
  const { data, reason } = useTaskPage({ ...(state && { states: [state] }), ...(name && { names: [name] }) }, PAGE, after);
  const counts = Object.fromEntries(cluster?.tasks.map((item) => [item.state, item.count]) ?? []);
  const { hasNextPage, endCursor } = data?.tasks.pageInfo ?? { hasNextPage: false, endCursor: null };

  return (
    <section className="card" aria-labelledby="tasks-title">
      <header className="row">
        <h1 id="tasks-title">Tasks</h1>
        <label className="end">
          <span className="hint">Task type </span>
          <select value={name} onChange={(e) => show({ name: e.target.value })}>
            <option value="">all</option>
            {[...new Set([...taskTypes.map((type) => type.name), ...(name ? [name] : [])])].map((option) => (
              <option key={option}>{option}</option>
            ))}
          </select>
        </label>
      </header>
      <div className="row chips" role="group" aria-label="State">
        {["", ...STATES].map((option) => (
          <button key={option} type="button" className="quiet" aria-pressed={state === option} onClick={() => show({ state: option })}>
            {option || "ALL"}
            {option && counts[option] ? <span className="hint"> {count(counts[option])}</span> : null}
          </button>
        ))}
      </div>
      {reason && <RefusalView reason={reason} />}
      <TaskLines tasks={data?.tasks.edges.map(({ node }) => node)} />
      {(above.length > 0 || hasNextPage) && (
        <div className="row">
          <button type="button" className="quiet" disabled={above.length === 0} onClick={() => show({ above: above.slice(0, -1) })}>
            Newer
          </button>
          <button type="button" className="quiet" disabled={!hasNextPage} onClick={() => endCursor && show({ above: [...above, endCursor] })}>
            Older
          </button>
        </div>
      )}
    </section>
  );
}

/** The latest few tasks, next to the form. */
export function RecentTasks({ tasks, shown }: { tasks: TaskLine[] | undefined; shown: string | undefined }) {
  return (
    <nav className="card recent" aria-labelledby="recent-title">
      <header className="row">
        <h2 id="recent-title">Recent tasks</h2>
        <a className="end" href="#/tasks">
          All
        </a>
      </header>
      <TaskLines tasks={tasks} shown={shown} />
    </nav>
  );
}

function TaskLines({ tasks, shown }: { tasks: TaskLine[] | undefined; shown?: string | undefined }) {
  const now = useNow(tasks?.some(({ state }) => !isFinal(state)) ?? false);
  if (!tasks) return <p className="hint">Loading …</p>;
  if (tasks.length === 0) return <p className="hint">No tasks. A task appears here as soon as it is submitted.</p>;
  return (
    <ul className="tasks">
      {tasks.map((task) => (
        <li key={task.taskId}>
          <a href={`#/tasks/${task.taskId}`} aria-current={task.taskId === shown ? "true" : undefined}>
            <span className="name">{call(task.name, task.input)}</span>
            <StateMark state={task.state} />
            <span className="hint times">
              {task.state === "RUNNING" && task.progress !== null ? <Progress value={task.progress} /> : <Times task={task} now={now} />}
            </span>
            <time className="hint" dateTime={task.submittedAt} title={new Date(task.submittedAt).toLocaleString("en-GB")}>
              {ago(task.submittedAt)}
            </time>
          </a>
        </li>
      ))}
    </ul>
  );
}

function Times({ task, now }: { task: TaskLine; now: number }) {
  const open = isFinal(task.state) ? undefined : now;
  const parts = [
    task.error && task.error.code !== task.state && task.error.code,
    task.startedAt && between(task.startedAt, task.finishedAt, open),
    `waited ${between(task.submittedAt, task.startedAt ?? task.finishedAt, open) ?? "-"}`,
    task.attempt > 1 && `attempt ${task.attempt}`,
  ];
  return <>{parts.filter(Boolean).join(" · ")}</>;
}

// The latest few tasks, next to a form.
import { isFinal } from "@dask-graphql/client";
import { useNow } from "../api/poll.ts";
import type { TaskLine } from "../api/operations.ts";
import { ago, between, call } from "../ui/format.ts";
import { Progress, StateMark } from "../ui/parts.tsx";

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
            <time className="hint" dateTime={task.submittedAt} title={new Date(task.submittedAt).toLocaleString()}>
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

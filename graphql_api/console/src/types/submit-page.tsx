// The form of a task type, and its task beside it.
import { useEffect, useRef, useState } from "react";
import type { Catalogue } from "../api/task-types.ts";
import type { ClusterWatch } from "../cluster/watch.ts";
import { TaskPanel } from "../task/panel.tsx";
import { useTaskPage } from "../tasks/task-page.ts";
import { RecentTasks } from "../tasks/tasks.tsx";
import { type Submitted, TaskForm } from "./submit.tsx";

export function SubmitPage({ chosen, taskId, from, catalogue: { taskTypes, caller } }: {
  chosen: string | undefined;
  taskId: string | undefined;
  /** A task whose input fills the form. */
  from: string | undefined;
  catalogue: Catalogue;
  watch: ClusterWatch;
}) {
  const [submitted, setSubmitted] = useState<Submitted>();
  const { data, refresh } = useTaskPage({}, 8);
  const type = taskTypes.find(({ name }) => name === chosen) ?? taskTypes[0];
  if (!type) return <p className="card">This api has no task types: set DASK_GRAPHQL_TASK_MODULES to their modules.</p>;

  const onSubmitted = (submission: Omit<Submitted, "round">) => {
    setSubmitted((last) => ({ ...submission, round: (last?.round ?? 0) + 1 }));
    location.hash = `#/types/${type.name}/${submission.taskId}`;
    refresh();
  };
  const own = submitted?.taskId === taskId ? submitted : undefined;
  const view = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a phone the task is below the form.
    if (own) view.current?.scrollIntoView({ block: "nearest" });
  }, [own]);

  return (
    <div className="split">
      <div className="column">
        <section className="card" aria-labelledby="submit-title">
          <header className="row">
            <h1 id="submit-title">Submit</h1>
            <select aria-label="Task type" value={type.name} onChange={(e) => (location.hash = `#/types/${e.target.value}`)}>
              {taskTypes.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </header>
          <TaskForm key={`${type.name} ${type.version}`} type={type} salt={caller.taskIdSalt} from={from ?? taskId} onSubmitted={onSubmitted} />
        </section>
        <RecentTasks tasks={data?.tasks.edges.map(({ node }) => node)} shown={taskId} />
      </div>
      <div ref={view}>
        {taskId ? (
          <TaskPanel key={taskId} taskId={taskId} outcome={own?.outcome} />
        ) : (
          <Welcome count={taskTypes.length} />
        )}
      </div>
    </div>
  );
}

const Welcome = ({ count }: { count: number }) => (
  <aside className="card hint welcome">
    <p>
      You can submit {count} task type{count === 1 ? "" : "s"} here. A submission returns the task's id at once; the same input
      always has the same id. Progress and result appear here as soon as they exist.
    </p>
    <p>You can bookmark and share the address of a task: it works on any node until the result expires.</p>
  </aside>
);

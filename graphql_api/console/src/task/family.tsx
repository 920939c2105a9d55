// The family of a task: what has submitted it, and the tree of what it has submitted.
import { isFinal, type TaskState } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { request } from "../api/client.ts";
import { address } from "../app/route.ts";
import { useSession } from "../app/session.ts";
import { count, duration } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { STATE_WORDS, stateKey } from "../ui/state.tsx";
import { type Family, READ_CHILDREN, READ_FAMILY, type Relative } from "./operations.ts";

/** Many tasks may end in a second: their changes are taken together. */
const PAUSE_MILLISECONDS = 500;

/** The family of a task; undefined without any. It changes with what the cluster does, which the page watches anyway. */
export function useFamily(taskId: string, state: TaskState | undefined): Family | undefined {
  const { cluster } = useSession().watch;
  const [known, setKnown] = useState<{ taskId: string; family: Family | null }>();
  const family = known?.taskId === taskId ? known.family : null;
  const live = state === "RUNNING" || family?.children.some((child) => !isFinal(child.state));
  useEffect(() => {
    let current = true;
    const read = () =>
      request<{ task: Family | null }>(READ_FAMILY, { taskId }).then(
        ({ task }) => current && setKnown({ taskId, family: task }),
        () => undefined, // the frame tells that there is no connection
      );
    const timer = setTimeout(read, family ? PAUSE_MILLISECONDS : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [taskId, state, live ? cluster : undefined]);
  return family && (family.childCount > 0 || family.parents.length > 0) ? family : undefined;
}

const childrenWords = (number: number): string => (number === 1 ? "1 child" : `${count(number)} children`);

export function FamilyView({ family: { childCount, children, parents } }: { family: Family }) {
  return (
    <section className="card" id="family" aria-label="Family">
      <header><h2>Family</h2></header>
      <div className="body">
        {parents.length > 0 && (
          <>
            <h3 className="small muted hintline">Submitted by</h3>
            <ul>{parents.map((parent) => <li key={parent.taskId} className="rel"><Line task={parent} /></li>)}</ul>
          </>
        )}
        {childCount > 0 && (
          <>
            <h3 className="small muted hintline">{childrenWords(childCount)}</h3>
            <Children tasks={children} total={childCount} />
          </>
        )}
      </div>
    </section>
  );
}

function Children({ tasks, total }: { tasks: Family["children"]; total: number }) {
  return (
    <ul>
      {tasks.map((child) => (
        <li key={child.taskId}>
          {child.childCount > 0 ? <Branch task={child} /> : <div className="rel"><Line task={child} /></div>}
        </li>
      ))}
      {total > tasks.length && <li className="small muted">{count(total - tasks.length)} more</li>}
    </ul>
  );
}

/** A child with children of its own, which are read when it is unfolded. */
function Branch({ task }: { task: Family["children"][number] }) {
  const [below, setBelow] = useState<Pick<Family, "childCount" | "children">>();
  const unfold = (open: boolean) => {
    if (!open || below) return;
    request<{ task: Pick<Family, "childCount" | "children"> | null }>(READ_CHILDREN, { taskId: task.taskId }).then(
      ({ task: found }) => found && setBelow(found),
      () => undefined,
    );
  };
  return (
    <details onToggle={({ currentTarget }) => unfold(currentTarget.open)}>
      <summary className="rel"><Line task={task} /> <span className="muted">{childrenWords(task.childCount)}</span></summary>
      {below && <Children tasks={below.children} total={below.childCount} />}
    </details>
  );
}

function Line({ task: { taskId, name, state, startedAt, finishedAt } }: { task: Relative }) {
  const took = startedAt && finishedAt ? `, ${duration(Date.parse(finishedAt) - Date.parse(startedAt))}` : "";
  return (
    <>
      <Icon name={stateKey(state)} className={`s-${stateKey(state)}`} />
      <a href={address(["tasks", taskId])}>{name} <code>{taskId.slice(0, 8)}</code></a>
      <span className="muted">{STATE_WORDS[state]}{took}</span>
    </>
  );
}

// The family of a task: what has submitted it, and the tree of what it has submitted, as it goes.
import { isFinal, type TaskState } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { request } from "../api/client.ts";
import { useNow } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { useSession } from "../app/session.ts";
import { between, count } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { STATE_WORDS, stateKey } from "../ui/state.tsx";
import { type Child, type Family, READ_CHILDREN, READ_FAMILY, type Relative } from "./operations.ts";
import { calledBy, inputTexts } from "./siblings.ts";

/** Many tasks may end in a second: their changes are taken together. */
const PAUSE_MILLISECONDS = 500;
const PAGE = 50;
/** As many as the api tells at once. */
const MOST_CHILDREN = 200;

/** What a query tells of the family of a task, read again while that may change: with what the cluster does, which the
page watches anyway. */
function useRelatives<Found extends Pick<Family, "children">>(query: string, taskId: string, state: TaskState | undefined, first: number, wanted = true): Found | undefined {
  const { cluster } = useSession().watch;
  const [known, setKnown] = useState<{ taskId: string; found: Found | null }>();
  const found = known?.taskId === taskId ? known.found : null;
  const live = (state && !isFinal(state)) || found?.children.some((child) => !isFinal(child.state));
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    const read = () =>
      request<{ task: Found | null }>(query, { taskId, first }).then(
        ({ task }) => current && setKnown({ taskId, found: task }),
        () => undefined, // the frame tells that there is no connection
      );
    const timer = setTimeout(read, found && found.children.length >= first ? PAUSE_MILLISECONDS : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [query, taskId, state, first, wanted, live ? cluster : undefined]);
  return found ?? undefined;
}

export interface FamilyState extends Family {
  /** Reads further children; undefined if there are none, or as many as there may be. */
  more: (() => void) | undefined;
}

/** The family of a task; undefined without any. */
export function useFamily(taskId: string, state: TaskState | undefined): FamilyState | undefined {
  const [first, more] = useFirst();
  const family = useRelatives<Family>(READ_FAMILY, taskId, state, first);
  return family && (family.childCount > 0 || family.parents.length > 0) ? { ...family, more } : undefined;
}

function useFirst(): [number, (() => void) | undefined] {
  const [first, setFirst] = useState(PAGE);
  return [first, first < MOST_CHILDREN ? () => setFirst(Math.min(MOST_CHILDREN, first + PAGE)) : undefined];
}

const childrenWords = (number: number): string => (number === 1 ? "1 child" : `${count(number)} children`);

const ORDER: TaskState[] = ["FAILED", "RUNNING", "QUEUED", "CANCELLED", "SUCCEEDED"];

/** `2 failed, 1 running`: how they stand, if all are known. */
function standing(children: Child[], total: number): string | undefined {
  if (children.length < total) return undefined;
  return ORDER.map((state) => [children.filter((child) => child.state === state).length, STATE_WORDS[state].toLowerCase()] as const)
    .filter(([number]) => number > 0)
    .map(([number, word]) => `${count(number)} ${word}`)
    .join(", ");
}

export function FamilyView({ family: { childCount, children, parents, more } }: { family: FamilyState }) {
  const parentTexts = inputTexts(parents);
  return (
    <section className="card" id="family" aria-label="Family">
      <header><h2>Family</h2></header>
      <div className="body stack family">
        {parents.length > 0 && (
          <div>
            <h3 className="small muted">Submitted by</h3>
            <ul className="kin">{parents.map((parent) => <li key={parent.taskId}><Line task={parent} text={parentTexts.get(parent.taskId)} /></li>)}</ul>
          </div>
        )}
        {childCount > 0 && (
          <div>
            <h3 className="small muted">{[childrenWords(childCount), standing(children, childCount)].filter(Boolean).join(": ")}</h3>
            <Children tasks={children} total={childCount} more={more} />
          </div>
        )}
      </div>
    </section>
  );
}

/** The first one that has failed is unfolded: below it is why. */
function Children({ tasks, total, more }: { tasks: Child[]; total: number; more: (() => void) | undefined }) {
  const failed = tasks.find(({ state }) => state === "FAILED");
  const texts = inputTexts(tasks);
  return (
    <ul className="kin">
      {tasks.map((child) => (
        <li key={child.taskId}>
          {child.childCount > 0 ? <Branch task={child} text={texts.get(child.taskId)} unfolded={child === failed} /> : <Line task={child} text={texts.get(child.taskId)} />}
        </li>
      ))}
      {total > tasks.length && (
        <li className="small muted">
          {count(total - tasks.length)} more{more && <>. <button type="button" className="linkbtn" onClick={more}>Show further ones</button></>}
        </li>
      )}
    </ul>
  );
}

/** A child with children of its own, which are read when it is unfolded. */
function Branch({ task, text, unfolded }: { task: Child; text: string | undefined; unfolded: boolean }) {
  const [open, setOpen] = useState<boolean>();
  const shown = open ?? unfolded;
  const [first, more] = useFirst();
  const below = useRelatives<Pick<Family, "childCount" | "children">>(READ_CHILDREN, task.taskId, task.state, first, shown);
  return (
    <>
      <div className="branch">
        <button type="button" className="twist" aria-expanded={shown} aria-label={`The ${childrenWords(task.childCount)} of ${calledBy(task)}`} onClick={() => setOpen(!shown)}>
          <Icon name={shown ? "down" : "right"} />
        </button>
        <Line task={task} text={text} />
      </div>
      {shown && below && <Children tasks={below.children} total={below.childCount} more={more} />}
    </>
  );
}

/** @param text what tells it from its siblings. */
function Line({ task, text }: { task: Relative & { childCount?: number }; text: string | undefined }) {
  const { taskId, name, state, startedAt, finishedAt } = task;
  const now = useNow(!isFinal(state));
  const took = startedAt && between(startedAt, finishedAt, now);
  return (
    <div className={`relative s-${stateKey(state)}`}>
      <Icon name={stateKey(state)} />
      <a className="clip" href={address(["tasks", taskId])} title={taskId}>{name}</a>
      <span className="muted nowrap">{STATE_WORDS[state]}{took && `, ${took}`}</span>
      <span className="muted small row">
        <code className="clip grow" title={text}>{text}</code>
        {task.childCount ? <span>{childrenWords(task.childCount)}</span> : null}
      </span>
    </div>
  );
}

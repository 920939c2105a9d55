// The run of a task over time: when it waited, and each attempt with its worker and why it ended.
import { isFinal, type TaskEvent } from "@dask-graphql/client";
import type { CSSProperties, ReactNode } from "react";
import { address } from "../app/route.ts";
import { clock, count, counted, duration } from "../ui/format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { stateKey } from "../ui/state.tsx";
import { type Axis, axisOf, placeOf, ticksOf } from "./axis.ts";
import { leftWords } from "./parts.tsx";
import { ProgressCurve } from "./progress-curve.tsx";
import { type Attempt, attemptsOf, type Wait, waitsOf } from "./spans.ts";
import type { Relative } from "./operations.ts";
import { calledBy, inputTexts } from "./siblings.ts";
import type { TaskRun } from "./use-task.ts";

/** A bar has its text inside if it is at least this wide, in percent. */
const ROOMY = 22;
const MESSAGE_CHARACTERS = 300;
/** Nothing is too short to be seen. */
const LEAST = 0.6;
/** How far the axis may reach beyond now for what is still to come, as a share of what was. */
const AHEAD = 1.5;
/** The children that have lanes of their own: those that were submitted first. */
const CHILD_LANES = 12;

/** @param total how many children there are; `relatives` are the first of them. */
export function Timeline({ run, now, relatives = [], total = 0 }: { run: TaskRun; now: number; relatives?: Relative[]; total?: number }) {
  const { events, record, progress, state } = run;
  const first = events[0];
  if (!first) return null;
  const open = !isFinal(state);
  const attempts = attemptsOf(events, now);
  const waits = waitsOf(events, now);
  const start = Date.parse(first.at);
  const last = open ? now : Date.parse(events.at(-1)!.at);
  const current = attempts.at(-1);
  const left = current?.open && progress !== null && progress > 0.05 ? ((now - current.from) / progress) * (1 - progress) : 0;
  const axis = axisOf(start, last + Math.min(left, (last - start) * AHEAD));
  const style = { "--grid": `${(axis.step / (axis.end - axis.start)) * 100}%` } as CSSProperties;
  const before = waits.filter(({ from }) => !attempts[0] || from < attempts[0].from);
  const after = waits.find((wait) => wait.open && attempts.length > 0);
  const line = open && <i className="now" style={{ left: `${placeOf(axis, now)}%` }} />;
  const workerOf = ({ attempt }: Attempt) => record?.attempts.find(({ number }) => number === attempt)?.worker;
  const reports = events.filter(({ kind }) => kind === "PROGRESS");
  const lanes = childSpans(relatives, start, now).slice(0, CHILD_LANES);
  const texts = inputTexts(relatives);

  return (
    <section className="card" id="timeline" aria-label="Timeline">
      <header><h2>Timeline</h2></header>
      <div className="body">
        <div className="gantt" style={style} role={lanes.length > 0 ? "group" : "img"} aria-label={[...before.map(waitText), ...attempts.map(attemptText)].join(", ")}>
          <div className="axis">
            <span />
            <div>
              {ticksOf(axis).map((offset) => (
                <span key={offset} style={{ left: `${(offset / (axis.end - axis.start)) * 100}%` }}>{offset === 0 ? clock(start) : `+${duration(offset).replace(".0 ", " ")}`}</span>
              ))}
            </div>
          </div>
          {before.length > 0 && (
            <Lane icon="queued" kind="queued" name="Waiting">
              {before.map((wait) => <Bar key={wait.from} axis={axis} span={wait} kind="wait" text={duration(wait.to - wait.from)} />)}
              {line}
            </Lane>
          )}
          {attempts.map((attempt, index) => {
            const pause = index > 0 && waits.find(({ from, to }) => from >= attempts[index - 1]!.to && to <= attempt.from);
            const { kind, icon } = lookOf(attempt);
            return (
              <Lane key={attempt.attempt} icon={icon} kind={kind} name={`Attempt ${attempt.number}`} detail={workerOf(attempt)}>
                {pause && <Bar axis={axis} span={pause} kind="wait" />}
                <Bar axis={axis} span={attempt} kind={`s-${kind}`} text={barText(attempt)} />
                {line}
                {attempt.open && left > 0 && <span className="note" style={{ left: `${placeOf(axis, now) + 1}%` }}>{leftWords(progress, record?.startedAt, now)}</span>}
              </Lane>
            );
          })}
          {lanes.map(({ task, queued, from, to }) => (
            <div className="sub" key={task.taskId}>
              <a href={address(["tasks", task.taskId])} className="clip" title={`${calledBy(task)}: ${texts.get(task.taskId)}`}>{task.name} <code>{texts.get(task.taskId)}</code></a>
              <div className="lane">
                {from > queued && <Bar axis={axis} span={within(axis, queued, from)} kind="wait" />}
                {task.startedAt && <Bar axis={axis} span={within(axis, from, to)} kind={`s-${stateKey(task.state)}`} text={duration(to - from)} />}
              </div>
            </div>
          ))}
          {lanes.length > 0 && total > lanes.length && <p className="small muted">{count(total - lanes.length)} more children</p>}
          {after && (
            <Lane icon="queued" kind="queued" name="Waiting">
              <Bar axis={axis} span={after} kind="wait" text={duration(after.to - after.from)} />
              {line}
            </Lane>
          )}
        </div>
        <ol className="attempts" aria-label="What happened">
          {attempts.map((attempt, index) => (
            <li key={attempt.attempt}>
              <Mark look={lookOf(attempt)} name={`Attempt ${attempt.number}`} />
              <span className="anywhere">{endWords(attempt, attempts[index + 1], workerOf(attempt))}</span>
            </li>
          ))}
          {reports.length > 0 && (
            <li>
              <span className="muted">Progress</span>
              <span>{counted(reports.length, "update")}, the last one at {clock(reports.at(-1)!.at)}</span>
            </li>
          )}
        </ol>
        <ProgressCurve events={events} attempt={run.attempt} until={last} />
        <details className="allevents">
          <summary>All {counted(events.length - reports.length, "event")}</summary>
          <ol className="events">
            {events.filter(({ kind }) => kind !== "PROGRESS").map((event) => (
              <li key={event.seq}>
                <time dateTime={event.at}>{clock(event.at, true)}</time>
                <span className="muted nowrap">+{duration(Date.parse(event.at) - start)}</span>
                <span className="anywhere">{meaning(event)}{event.message && <span className="muted"> {brief(event.message)}</span>}</span>
              </li>
            ))}
          </ol>
        </details>
      </div>
    </section>
  );
}

/** When children waited and ran, as far as that was after `start`, in the order in which they were submitted. */
function childSpans(relatives: Relative[], start: number, now: number): { task: Relative; queued: number; from: number; to: number }[] {
  return relatives
    .map((task) => {
      const to = task.finishedAt ? Date.parse(task.finishedAt) : now;
      return { task, queued: Math.max(start, Date.parse(task.submittedAt)), from: Math.max(start, task.startedAt ? Date.parse(task.startedAt) : to), to };
    })
    .filter(({ to }) => to >= start)
    .sort((one, other) => one.queued - other.queued || one.from - other.from);
}

const within = (axis: Axis, from: number, to: number) => ({ from: Math.min(from, axis.end), to: Math.min(to, axis.end) });

type Kind = "queued" | "running" | "succeeded" | "failed" | "cancelled" | "warning";

interface LaneProps {
  icon: IconName;
  kind: Kind;
  name: string;
  detail?: string | null | undefined;
  children: ReactNode;
}

const Mark = ({ look: { icon, kind }, name }: { look: { icon: IconName; kind: Kind }; name: string }) => (
  <span className={`state s-${kind}`}><Icon name={icon} />{name}</span>
);

const Lane = ({ icon, kind, name, detail, children }: LaneProps) => (
  <div>
    <div>
      <Mark look={{ icon, kind }} name={name} />
      {detail && <span className="muted small clip" title={detail}>{detail}</span>}
    </div>
    <div className="lane">{children}</div>
  </div>
);

function Bar({ axis, span, kind, text }: { axis: Axis; span: { from: number; to: number }; kind: string; text?: string }) {
  const width = Math.max(LEAST, placeOf(axis, span.to) - placeOf(axis, span.from));
  const from = Math.min(placeOf(axis, span.from), 100 - width);
  const inside = text && kind !== "wait" && width >= ROOMY;
  const beside = from + width < 70 ? { left: `calc(${from + width}% + 0.375rem)` } : { right: `calc(${100 - from}% + 0.375rem)` };
  return (
    <>
      <span className={`bar ${kind}`} style={{ left: `${from}%`, width: `${width}%` }} title={text}>{inside && text}</span>
      {text && !inside && <span className="note" style={kind === "wait" && width >= ROOMY ? { left: `calc(${from}% + 0.375rem)` } : beside}>{text}</span>}
    </>
  );
}

function lookOf({ open, end }: Attempt): { icon: IconName; kind: Kind } {
  if (open) return { icon: "running", kind: "running" };
  if (end?.kind === "LOST") return { icon: "warning", kind: "warning" };
  if (end?.kind === "SUCCEEDED") return { icon: "succeeded", kind: "succeeded" };
  return end?.kind === "CANCELLED" ? { icon: "cancelled", kind: "cancelled" } : { icon: "failed", kind: "failed" };
}

const waitText = ({ from, to }: Wait): string => `waited ${duration(to - from)}`;
const attemptText = ({ number, from, to, open }: Attempt): string => `attempt ${number} ${open ? "has run for" : "ran"} ${duration(to - from)}`;

function barText({ from, to, open, end }: Attempt): string {
  const time = duration(to - from);
  if (open) return `${time} so far`;
  return end?.kind === "LOST" ? `Worker lost after ${time}` : time;
}

/** The section about the error has the whole message. */
const brief = (message: string): string => (message.length > MESSAGE_CHARACTERS ? `${message.slice(0, MESSAGE_CHARACTERS)}…` : message);

/** What became of an attempt, in a sentence. */
function endWords({ from, to, open, end }: Attempt, next: Attempt | undefined, worker: string | null | undefined): string {
  const time = duration(to - from);
  const place = worker ? ` on ${worker}` : "";
  const reason = end?.message ? `: ${brief(end.message)}` : "";
  const again = next ? ` Tried again ${duration(next.from - to)} later.` : "";
  if (open) return `Started at ${clock(from)}${place}.`;
  switch (end?.kind) {
    case "SUCCEEDED": return `Succeeded after ${time}${place}.`;
    case "CANCELLED": return `Cancelled after ${time}${place}${reason}.`;
    case "LOST": return `Lost after ${time}${reason}.${again || " It runs again."} This does not count as a failure of the task.`;
    case "RETRY": return `Failed after ${time}${place}${reason}.${again || " Another attempt follows."}`;
    default: return `Failed after ${time}${place}${reason}. No attempts left.`;
  }
}

/** What an event means, for people who do not know the states. */
function meaning({ kind, attempt }: TaskEvent): string {
  switch (kind) {
    case "QUEUED": return "Queued: waits for a worker.";
    case "STARTED": return attempt > 1 ? `Attempt ${attempt} started on a worker.` : "Started on a worker.";
    case "RETRY": return "Failed; another attempt follows.";
    case "LOST": return "Worker or scheduler lost; started again.";
    case "SUCCEEDED": return "Succeeded: the result is there.";
    case "FAILED": return "Failed: there is no result.";
    case "CANCELLED": return "Cancelled.";
    default: return "";
  }
}

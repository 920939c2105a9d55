// The answer in a line: how long, since when, by whom.
import { isFinal } from "@dask-graphql/client";
import { address } from "../app/route.ts";
import { ago, dateTime, duration, wholeTime } from "../ui/format.ts";
import { leftWords } from "./parts.tsx";
import type { TaskRecord } from "./operations.ts";
import { attemptsOf, waitsOf } from "./spans.ts";
import type { TaskRun } from "./use-task.ts";

const DONE = { SUCCEEDED: "Done", FAILED: "Failed", CANCELLED: "Cancelled" } as const;

const total = (spans: { from: number; to: number }[]): number => spans.reduce((sum, { from, to }) => sum + to - from, 0);

/** `Waited 1.3 s, ran less than 1 ms`: a duration for people. */
const spent = (milliseconds: number): string => (milliseconds < 1 ? "less than 1 ms" : duration(milliseconds));

interface SummaryProps {
  run: TaskRun;
  record: TaskRecord;
  now: number;
  /** How long tasks of its type usually run, in milliseconds. */
  usual: number | undefined;
}

export function Summary({ run: { state, events, progress }, record, now, usual }: SummaryProps) {
  const attempts = attemptsOf(events, now);
  const ran = total(attempts);
  const waited = total(waitsOf(events, now));
  const end = record.finishedAt;
  const ended = state && isFinal(state) ? DONE[state as keyof typeof DONE] : undefined;
  const left = state === "RUNNING" ? leftWords(progress, record.startedAt, now, usual) : undefined;
  return (
    <div className="summary">
      {ended && attempts.length > 0 && (
        <span>
          <b>{attempts.length > 1 ? `${ended} after ${attempts.length} attempts` : `${ended} in ${spent(ran)}`}</b>
          {end && <time dateTime={end} title={wholeTime(end)}>, {ago(end)}</time>}
        </span>
      )}
      {ended && attempts.length === 0 && <span><b>{ended}</b>{end && <time dateTime={end} title={wholeTime(end)}>, {ago(end)}</time>}</span>}
      {left && <span><b className="capital">{left}</b></span>}
      {state === "RUNNING" && attempts.length > 0 && <span>Running for {duration(ran)}</span>}
      {usual !== undefined && <span>Usually takes {spent(usual)}</span>}
      {attempts.length > 1 && <span>{ended ? `Ran ${spent(ran)} in all` : `Attempt ${attempts.length}`}</span>}
      {(waited >= 1 || ended) && <span>{state === "QUEUED" ? `Waiting for ${duration(waited)}` : `Waited ${spent(waited)}`}</span>}
      {record.worker && <span className="anywhere">{record.worker}</span>}
      {record.submittedBy && <span>By {record.submittedBy}</span>}
      {record.expiresAt && <span title={wholeTime(record.expiresAt)}>Kept until {dateTime(record.expiresAt)}</span>}
      {record.tags.length > 0 && (
        <span className="row">{record.tags.map((tag) => <a key={tag} className="tag" href={address(["tasks"], { tag })}>{tag}</a>)}</span>
      )}
    </div>
  );
}

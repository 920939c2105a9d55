// When a task waited and when it ran, from its events.
import type { TaskEvent } from "@dask-graphql/client";

export interface Wait {
  from: number;
  to: number;
  /** It still waits. */
  open: boolean;
}

export interface Attempt extends Wait {
  /** From 1 within the run: the api numbers on through all runs. */
  number: number;
  /** The api's number, which its log lines have. */
  attempt: number;
  /** The event that ended it. */
  end: TaskEvent | undefined;
}

const ENDS = ["RETRY", "LOST", "SUCCEEDED", "FAILED", "CANCELLED"];

export function attemptsOf(events: TaskEvent[], now: number): Attempt[] {
  const attempts: Attempt[] = [];
  for (const event of events) {
    const at = Date.parse(event.at);
    const last = attempts.at(-1);
    if (event.kind === "STARTED") attempts.push({ number: attempts.length + 1, attempt: event.attempt, from: at, to: Math.max(now, at), open: true, end: undefined });
    else if (ENDS.includes(event.kind) && last?.open) attempts.splice(-1, 1, { ...last, to: Math.max(at, last.from), open: false, end: event });
  }
  return attempts;
}

/** The times between: in the queue, and the pauses after failed attempts. */
export function waitsOf(events: TaskEvent[], now: number): Wait[] {
  const waits: Wait[] = [];
  let from: number | undefined;
  for (const event of events) {
    const at = Date.parse(event.at);
    const ends = from !== undefined && (event.state !== "QUEUED");
    if (ends) {
      waits.push({ from: from!, to: Math.max(at, from!), open: false });
      from = undefined;
    }
    if (event.state === "QUEUED") from ??= at;
  }
  if (from !== undefined) waits.push({ from, to: Math.max(now, from), open: true });
  return waits;
}

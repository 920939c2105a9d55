// Small parts that several pages show.
import type { ReactNode } from "react";
import type { Refusal } from "./api.ts";
import type { TaskState } from "./operations.ts";

/** What a person can do about a code; docs/errors.md has all of them. */
const ADVICE: Record<string, string> = {
  UNAUTHENTICATED: "Give an API key or a token: the button is at the top right.",
  FORBIDDEN: "Your key is good, but does not allow this.",
  QUEUE_FULL: "Too much waits already. Nothing was submitted; try again in a moment.",
  RATE_LIMITED: "You submitted much of late. Nothing was submitted; try again in a moment.",
  SERVICE_UNAVAILABLE: "The store does not answer. Submitting again is safe: the same input has the same id.",
  WORKER_LOST: "It took its workers with it. Does it run out of memory?",
  TIMEOUT: "It ran longer than its task type allows.",
  RESULT_TOO_LARGE: "Large results belong into a blob: save_blob.",
  RESULT_UNREADABLE: "Submit it again with “run again”.",
  TASK_FAILED: "The function raised this. Its stack is in the worker's log.",
};

export function RefusalView({ reason }: { reason: Refusal & { type?: string | null } }) {
  const advice = reason.code && ADVICE[reason.code];
  return (
    <div className="refusal" role="alert">
      <p>
        {reason.code && <code>{reason.code}</code>} {reason.type && <span>{reason.type}: </span>}
        {reason.message}
      </p>
      {advice && <p className="hint">{advice}</p>}
    </div>
  );
}

export const StateMark = ({ state }: { state: TaskState }) => <span className={`state ${state}`}>{state}</span>;

export const Facts = ({ children }: { children: ReactNode }) => <dl>{children}</dl>;

/** Nothing where there is nothing to tell. */
export function Fact({ name, title, children }: { name: string; title?: string | null; children: ReactNode }) {
  if (children === undefined || children === null || children === false) return null;
  return (
    <div>
      <dt title={title ?? undefined}>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export const Progress = ({ value }: { value: number | null | undefined }) => (
  <progress {...(value === null || value === undefined ? {} : { value })} aria-label="Progress" />
);

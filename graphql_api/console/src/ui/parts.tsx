// Small components shared by the pages.
import type { TaskState } from "@dask-graphql/client";
import type { ReactNode } from "react";
import type { Refusal } from "../api/client.ts";

/** What a person can do about a code; docs/errors.md has all of them. */
const ADVICE: Record<string, string> = {
  UNAUTHENTICATED: "Enter an API key or a JWT with the button at the top right.",
  FORBIDDEN: "Your credential is valid, but does not permit this.",
  QUEUE_FULL: "Too many tasks are queued. Nothing was submitted; try again in a moment.",
  STORE_FULL: "The store has no room for new tasks. Nothing was submitted; running tasks go on.",
  QUOTA_EXCEEDED: "Nothing was submitted. Wait until results expire, or ask the operator for more.",
  FILE_NOT_FOUND: "The file has expired, or was never sent. Choose it again.",
  RATE_LIMITED: "You have submitted too many tasks recently. Nothing was submitted; try again in a moment.",
  SERVICE_UNAVAILABLE: "Redis does not respond. Submitting again is safe: the same input has the same id.",
  WORKER_LOST: "The worker processes that ran it ended. Find out what ends them: a crash in an extension, for example.",
  OUT_OF_MEMORY: "Give workers more memory, or let the task use less.",
  TIMEOUT: "It ran longer than its task type allows.",
  RESULT_TOO_LARGE: "Store large values with save_blob and return the Blob.",
  RESULT_UNREADABLE: "The class of the result was changed, but not the task's version. Submit it again with “run again”.",
  TASK_FAILED: "The function raised this. The traceback is in the worker's log.",
};

export function RefusalView({ reason }: { reason: Refusal & { type?: string | null; traceback?: string | null } }) {
  const advice = reason.code && !reason.traceback && ADVICE[reason.code];
  return (
    <div className="refusal" role="alert">
      <p>
        {reason.code && <code>{reason.code}</code>} {reason.type && <span>{reason.type}: </span>}
        {reason.message}
      </p>
      {advice && <p className="hint">{advice}</p>}
      {reason.traceback && (
        <details>
          <summary>Traceback</summary>
          <pre className="scroll" tabIndex={0} role="region" aria-label="Traceback">{reason.traceback}</pre>
        </details>
      )}
    </div>
  );
}

export const StateMark = ({ state }: { state: TaskState }) => <span className={`state ${state}`}>{state}</span>;

export const Facts = ({ children }: { children: ReactNode }) => <dl>{children}</dl>;

/** Renders nothing if there is no value. */
export function Fact({ name, title, children }: { name: string; title?: string | null; children: ReactNode }) {
  if (children === undefined || children === null || children === false) return null;
  return (
    <div>
      <dt title={title ?? undefined}>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export const Progress = ({ value, label = "Progress" }: { value: number | null | undefined; label?: string }) => (
  <progress {...(value === null || value === undefined ? {} : { value })} aria-label={label} />
);

// Small components shared by the pages.
import type { ReactNode } from "react";
import type { Refusal } from "../api/client.ts";
import { Banner } from "./banner.tsx";

/** What a person can do about a code; docs/errors.md has all of them. */
const ADVICE: Record<string, string> = {
  UNAUTHENTICATED: "Sign in with the button at the top right.",
  FORBIDDEN: "You are signed in, but may not do this. An administrator can change that.",
  QUEUE_FULL: "Too many tasks are queued. Nothing was started; try again in a moment.",
  STORE_FULL: "There is no room for new tasks. Nothing was started; running tasks go on.",
  QUOTA_EXCEEDED: "Nothing was started. Wait until results expire, or ask an administrator for more.",
  FILE_NOT_FOUND: "The file has expired, or was never sent. Choose it again.",
  RATE_LIMITED: "You have started many tasks in a short time. Nothing was started; try again in a moment.",
  SERVICE_UNAVAILABLE: "The server cannot reach its store. It is safe to run the task again: the same input is never computed twice.",
  WORKER_LOST: "The workers that ran it ended, each time. A crash in a native library is a usual cause; the log has its last lines.",
  OUT_OF_MEMORY: "Give the workers more memory, or let the task use less.",
  TIMEOUT: "It ran longer than its task type allows.",
  EXPIRED_BEFORE_START: "No worker was free before the time that it had to start by. Run it again.",
  BAD_INPUT: "The input does not fit the task type as it is now. Edit it and run it again.",
  RESULT_TOO_LARGE: "Return large values with save_blob.",
  RESULT_UNREADABLE: "The result's type has changed since. Run the task again for a result of the new type.",
};

export const adviceOn = (code: string | null | undefined): string | undefined => (code ? ADVICE[code] : undefined);

/** Why something was refused, and what to do about it. */
export function RefusalView({ reason: { message, code }, actions }: { reason: Refusal; actions?: ReactNode }) {
  const advice = adviceOn(code);
  return (
    <Banner kind="failed" title={<span className="anywhere">{message}</span>} actions={actions}>
      {(advice || code) && (
        <p className="small muted">
          {advice} {code && <code>{code}</code>}
        </p>
      )}
    </Banner>
  );
}

/** Names and values, in two columns. */
export const Facts = ({ children, className = "" }: { children: ReactNode; className?: string }) => <dl className={`facts ${className}`}>{children}</dl>;

/** Renders nothing if there is no value. */
export function Fact({ name, title, children }: { name: string; title?: string | null; children: ReactNode }) {
  if (children === undefined || children === null || children === false || children === "") return null;
  return (
    <>
      <dt title={title ?? undefined}>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** How far a task is, from 0 to 1; moves to and fro if that is not known. */
export const Progress = ({ value, label = "Progress" }: { value: number | null | undefined; label?: string }) => (
  <progress {...(value === null || value === undefined ? {} : { value })} aria-label={label} />
);

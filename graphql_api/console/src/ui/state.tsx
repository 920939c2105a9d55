// The state of a task: always a shape and a word, and a colour where somebody may have to act.
import type { TaskState } from "@dask-graphql/client";
import { Icon, type IconName } from "./icon.tsx";

export const STATE_WORDS: Record<TaskState, string> = {
  QUEUED: "Queued", RUNNING: "Running", SUCCEEDED: "Succeeded", FAILED: "Failed", CANCELLED: "Cancelled",
};

/** `QUEUED` as `queued`: the icon, the class `s-queued`, and the word in addresses. */
export const stateKey = (state: TaskState) => state.toLowerCase() as Lowercase<TaskState> & IconName;

interface StateProps {
  state: TaskState;
  /** From 0 to 1, of a running task: its ring is filled so far. */
  progress?: number | null | undefined;
  big?: boolean;
}

export function State({ state, progress, big = false }: StateProps) {
  const filled = state === "RUNNING" || state === "FAILED" || big;
  return (
    <span className={`state s-${stateKey(state)}${filled ? " pill" : ""}${big ? " big" : ""}`}>
      {state === "RUNNING" ? <Ring progress={progress} /> : <Icon name={stateKey(state)} />}
      {STATE_WORDS[state]}
    </span>
  );
}

const LENGTH = 2 * Math.PI * 6;

/** Turns if nobody knows how far the task is. */
function Ring({ progress }: { progress: number | null | undefined }) {
  const known = progress !== null && progress !== undefined;
  return (
    <svg className={`i ring${known ? "" : " spin"}`} viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="6" />
      <circle cx="8" cy="8" r="6" transform="rotate(-90 8 8)" strokeDasharray={`${LENGTH * (known ? Math.max(0.03, progress) : 0.25)} ${LENGTH}`} />
    </svg>
  );
}

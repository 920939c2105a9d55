// Why a task waits, in a line of plain words.
import { counted, duration } from "../ui/format.ts";
import { usePoll } from "../api/poll.ts";
import { WAITING, type Waiting } from "../api/operations.ts";

/** How often it is asked again: places and times change with every task that ends. */
const REFRESH_MILLISECONDS = 2000;

export function WaitingLine({ taskId, problem }: { taskId: string; problem: string | null | undefined }) {
  const { data } = usePoll<{ task: { waiting: Waiting | null } | null }>(WAITING, { taskId }, REFRESH_MILLISECONDS);
  const waiting = data?.task?.waiting;
  if (!waiting) return null;
  const noWorker = waiting.reason === "NO_WORKER" || waiting.reason === "LAUNCHING";
  return <p className="waiting">{[waitingWords(waiting), noWorker && problem].filter(Boolean).join(" ")}</p>;
}

export function waitingWords({ reason, ahead, etaSeconds }: Waiting): string {
  const time = etaSeconds === null ? undefined : duration(etaSeconds * 1000);
  const place = ahead === null ? "" : ahead === 0 ? " It is next." : ` ${counted(ahead, "task")} ${ahead === 1 ? "comes" : "come"} first.`;
  const start = time ? ` It starts in about ${time}.` : "";
  switch (reason) {
    case "QUEUED_BEHIND":
      return `All workers are busy.${place}${start}`;
    case "NO_WORKER":
      return "There is no worker yet.";
    case "LAUNCHING":
      return `A worker is being launched${time ? `, which recently took ${time}` : ""}.`;
    case "NOT_BEFORE":
      return `It was submitted to start later${time ? `: in ${time}` : ""}.`;
    case "RETRY":
      return `An attempt failed. The next one begins${time ? ` in ${time}` : " soon"}.`;
    case "LIMIT":
      return `As many of its kind run as are allowed to at once.${place}${start}`;
    case "PAUSED":
      return "An operator has paused this task type. The task is safe and continues when it is resumed.";
    case "SCHEDULER_AWAY":
      return "The scheduler is not connected. The task is safe and continues when it is back.";
  }
}

// Why a task waits, in a line of plain words.
import type { Waiting } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { request } from "../api/client.ts";
import { WAITING } from "../api/operations.ts";
import { useNow } from "../api/poll.ts";
import { useSession } from "../app/session.ts";
import { Icon } from "../ui/icon.tsx";
import { counted, duration } from "../ui/format.ts";

/** Many tasks may end in a second: their changes are taken together. */
const PAUSE_MILLISECONDS = 500;

/** Places and times change with what the cluster does, which the page watches anyway: nothing is polled. */
export function WaitingLine({ taskId }: { taskId: string }) {
  const { cluster } = useSession().watch;
  const [known, setKnown] = useState<{ waiting: Waiting | null; at: number }>();
  const now = useNow(true);
  useEffect(() => {
    let current = true;
    const read = () =>
      request<{ task: { waiting: Waiting | null } | null }>(WAITING, { taskId }).then(
        ({ task }) => current && setKnown({ waiting: task?.waiting ?? null, at: Date.now() }),
        () => undefined, // the frame tells that there is no connection
      );
    const timer = setTimeout(read, known ? PAUSE_MILLISECONDS : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [taskId, cluster]);

  if (!known?.waiting) return null;
  const { reason, etaSeconds } = known.waiting;
  const left = etaSeconds === null ? null : Math.max(0, etaSeconds - (now - known.at) / 1000);
  const problem = reason === "NO_WORKER" || reason === "LAUNCHING" ? cluster?.fleet?.problem : undefined;
  return (
    <p className="row waiting">
      <Icon name="queued" />
      <span className="grow">{[waitingWords({ ...known.waiting, etaSeconds: left }), problem].filter(Boolean).join(" ")}</span>
    </p>
  );
}

/** A time that is counted down: whole seconds, and nothing below one. */
const about = (seconds: number | null): string | undefined => (seconds === null ? undefined : seconds < 1 ? "a second" : duration(Math.round(seconds) * 1000));

export function waitingWords({ reason, ahead, etaSeconds }: Waiting): string {
  const time = about(etaSeconds);
  const place = ahead === null ? "" : ahead === 0 ? " It is next." : ` ${counted(ahead, "task")} ${ahead === 1 ? "comes" : "come"} first.`;
  const start = time ? ` It starts in about ${time}.` : "";
  switch (reason) {
    case "QUEUED_BEHIND":
      return `All workers are busy.${place}${start}`;
    case "NO_WORKER":
      return "There is no worker yet.";
    case "LAUNCHING":
      return `A worker is starting${time ? `; that took about ${time} of late` : ""}.`;
    case "NOT_BEFORE":
      return `It is planned for later${time ? `: it starts in ${time}` : ""}.`;
    case "RETRY":
      return `An attempt failed. The next one begins${time ? ` in ${time}` : " soon"}.`;
    case "LIMIT":
      return `As many of its kind run as are allowed to at once.${place}${start}`;
    case "PAUSED":
      return "An administrator has paused this task type. The task is safe, and runs when it is resumed.";
    case "SCHEDULER_AWAY":
      return "The scheduler is not connected. The task is safe, and runs when it is back.";
  }
}

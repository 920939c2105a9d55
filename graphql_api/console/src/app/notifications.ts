// Tells a person outside the page that a long task of theirs has ended, if they want it.
import { isFinal } from "@dask-graphql/client";
import { useEffect } from "react";
import { subscribe } from "../api/client.ts";
import { CHANGES, type TaskChange } from "../api/operations.ts";
import { duration } from "../ui/format.ts";
import { STATE_WORDS } from "../ui/state.tsx";
import { toast } from "../ui/toasts.tsx";
import { prefer, usePreference } from "./preferences.ts";
import { address, go } from "./route.ts";

/** From the submission; a person waits for shorter ones. */
const LONG_MILLISECONDS = 30_000;

/** How many ended tasks are remembered, so that a subscription that begins anew announces none twice. */
const MOST_REMEMBERED = 1_000;

/** Asks the browser, if it has not been asked. */
export async function wantNotifications(): Promise<void> {
  if (typeof Notification === "undefined") return toast({ kind: "failed", text: "This browser has no notifications" });
  if ((await Notification.requestPermission()) === "granted") prefer("notify", "on");
  else toast({ kind: "failed", text: "The browser does not let this page show notifications: allow them in its settings" });
}

/** Watches the tasks that the caller has submitted, also while the page is hidden. */
export function useNotifications(caller: string | undefined): void {
  const wanted = usePreference("notify") === "on";
  useEffect(() => {
    if (!wanted || !caller || typeof Notification === "undefined" || Notification.permission !== "granted") return;
    const begun = Date.now();
    const open = new Set<string>();
    const announced = new Set<string>();
    return subscribe<{ tasksChanged: TaskChange }>(CHANGES, { where: { submittedBy: caller } }, {
      next: ({ tasksChanged: { taskId, task } }) => {
        if (!task) return void open.delete(taskId ?? ""); // it was deleted
        if (!isFinal(task.state)) return void open.add(task.taskId);
        const finished = Date.parse(task.finishedAt ?? "");
        // A subscription that begins anew repeats old ends.
        const isNew = (open.delete(task.taskId) || finished >= begun) && !announced.has(task.taskId);
        if (!isNew) return;
        announced.add(task.taskId);
        for (const oldest of announced) if (announced.size > MOST_REMEMBERED) announced.delete(oldest); else break;
        if (document.visibilityState === "visible") return;
        const took = finished - Date.parse(task.submittedAt);
        if (took < LONG_MILLISECONDS) return;
        const shown = new Notification(`${task.name}: ${STATE_WORDS[task.state].toLowerCase()}`, { body: `After ${duration(took)}`, tag: task.taskId });
        shown.onclick = () => {
          window.focus();
          go(address(["tasks", task.taskId]));
        };
      },
      error: () => undefined, // the frame tells that there is no connection; not everybody may watch lists
    });
  }, [wanted, caller]);
}

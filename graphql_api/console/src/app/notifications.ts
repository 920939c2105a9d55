// Tells a person outside the page that a long task of theirs has ended, if they want it.
import { useEffect } from "react";
import { subscribe } from "../api/client.ts";
import { CHANGES, type TaskChange } from "../api/operations.ts";
import { duration } from "../ui/format.ts";
import { STATE_WORDS } from "../ui/state.tsx";
import { toast } from "../ui/toasts.tsx";
import { prefer, usePreference } from "./preferences.ts";
import { address, go } from "./route.ts";
import { UnannouncedEnds } from "./unannounced-ends.ts";

/** From the submission; a person waits for shorter ones. */
const LONG_MILLISECONDS = 30_000;

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
    const ends = new UnannouncedEnds(Date.now());
    return subscribe<{ tasksChanged: TaskChange }>(CHANGES, { where: { submittedBy: caller } }, {
      next: ({ tasksChanged: { taskId, task } }) => {
        if (!task) return void ends.forget(taskId ?? "");
        if (!ends.isNew(task) || document.visibilityState === "visible") return;
        const took = Date.parse(task.finishedAt ?? "") - Date.parse(task.submittedAt);
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

// Runs a schedule now, and pauses or resumes it.
import { useState } from "react";
import { refusal, request } from "../api/client.ts";
import { address, go } from "../app/route.ts";
import { useOffline } from "../app/session.ts";
import { toast } from "../ui/toasts.tsx";
import { PAUSE, RESUME, RUN, type Schedule } from "./operations.ts";

interface ButtonProps {
  schedule: Pick<Schedule, "name" | "task" | "pausedAt">;
  onChange(): void;
}

/** Says why the api refuses. */
function useAct(name: string, onChange: () => void) {
  const offline = useOffline();
  const [busy, setBusy] = useState(false);
  const act = async <Data,>(mutation: string, done: (data: Data) => void) => {
    setBusy(true);
    try {
      done(await request<Data>(mutation, { name }));
      onChange();
    } catch (why) {
      toast({ kind: "failed", text: refusal(why).message });
    } finally {
      setBusy(false);
    }
  };
  return { act, off: { disabled: busy || offline !== undefined, title: offline } };
}

export function RunButton({ schedule: { name, task }, onChange }: ButtonProps) {
  const { act, off } = useAct(name, onChange);
  const run = () => act<{ runSchedule: { taskId: string } }>(RUN, ({ runSchedule: { taskId } }) => toast({
    kind: "succeeded", text: `${task} was started`, action: { label: "Open", run: () => go(address(["tasks", taskId])) },
  }));
  return <button type="button" className="btn slim" {...off} onClick={() => void run()} aria-label={`Run now: ${name}`}>Run now</button>;
}

export function PauseButton({ schedule: { name, pausedAt }, onChange }: ButtonProps) {
  const { act, off } = useAct(name, onChange);
  const pause = () => act(pausedAt ? RESUME : PAUSE, () => toast({ kind: pausedAt ? "succeeded" : "cancelled", text: `${name} ${pausedAt ? "goes on" : "is paused"}` }));
  return <button type="button" className="btn slim" {...off} onClick={() => void pause()} aria-label={`${pausedAt ? "Resume" : "Pause"} ${name}`}>{pausedAt ? "Resume" : "Pause"}</button>;
}

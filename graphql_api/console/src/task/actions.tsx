// What a person can do with a task.
import { isFinal, type SubmissionOutcome, submissionOf } from "@dask-graphql/client";
import { useState } from "react";
import { API_URL } from "../api/address.ts";
import { refusal, request } from "../api/client.ts";
import { useKeys } from "../app/keyboard.ts";
import { address, go } from "../app/route.ts";
import { useMay, useOffline } from "../app/session.ts";
import { Icon } from "../ui/icon.tsx";
import { Dialog, Menu } from "../ui/overlay.tsx";
import { toast } from "../ui/toasts.tsx";
import { canCopy, copy } from "../ui/copy.tsx";
import { LANGUAGES, submissionIn } from "./copy-as.ts";
import { CANCEL, FORGET, RETRY, type TaskRecord, WITHDRAW } from "./operations.ts";
import type { TaskRun } from "./use-task.ts";
import { wireInput } from "./wire-input.ts";

interface ActionsProps {
  run: TaskRun;
  record: TaskRecord;
}

export function Actions({ run: { taskId, state, type }, record }: ActionsProps) {
  const [busy, setBusy] = useState(false);
  const [shared, setShared] = useState(false);
  const [asked, setAsked] = useState(false);
  const mayRun = useMay("SUBMIT");
  const mayCancel = useMay("CANCEL");
  const offline = useOffline();
  const ended = isFinal(state);
  const broken = state === "FAILED" || state === "CANCELLED";
  const link = `${API_URL}#/tasks/${taskId}`;

  const act = async (what: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await what();
    } catch (why) {
      const refused = refusal(why);
      if (refused.code === "FORBIDDEN" && mayCancel && !ended) {
        // Others want the task too: it continues for them.
        setShared(true);
        toast({ kind: "warning", text: "Others wait for this task too, so you cannot cancel it. You can take back your own submission." });
      } else toast({ kind: "failed", text: refused.message });
    } finally {
      setBusy(false);
    }
  };
  const runAgain = () => act(async () => {
    const wire = type && wireInput(type, record.input);
    const { submission } = broken
      ? await request<{ submission: { outcome: SubmissionOutcome } }>(RETRY, { taskId })
      : await request<{ submission: { outcome: SubmissionOutcome } }>(submissionOf(type!, wire!), { ...wire, options: { recompute: true, tags: record.tags } });
    toast({ kind: "succeeded", text: submission.outcome === "CACHED" ? "Its result is already there" : "Running again" });
  });
  const cancel = () => act(() => request(CANCEL, { taskId }));
  const withdraw = () => act(async () => {
    await request(WITHDRAW, { taskId });
    setShared(false);
    toast({ kind: "cancelled", text: "Withdrawn. If others wait for it, it goes on for them" });
  });
  const forget = () => act(async () => {
    setAsked(false);
    await request(FORGET, { taskId });
    toast({ kind: "cancelled", text: "The task and its result are deleted" });
    go("#/tasks");
  });
  const copyLink = () => void copy(link, "Link");

  const why = offline ?? (!type ? `The task type ${record.name} is no longer there` : !mayRun ? "You may not start tasks" : undefined);
  const whyNotCancel = offline ?? (mayCancel ? undefined : "You may not cancel tasks");
  useKeys({
    ...(ended && !why && { r: { what: "Run again", run: () => void runAgain() } }),
    ...(!ended && !whyNotCancel && { "Shift c": { what: "Cancel the task", run: () => void cancel() } }),
    ...(canCopy && { y: { what: "Copy a link to the task", run: copyLink } }),
  });

  return (
    <div className="row end actions">
      {canCopy && (
        <Menu className="btn compact" icon="code" label={<><span className="lbl">Copy as</span><Icon name="down" /></>} title="Copy as">
          {type && LANGUAGES.map((language) => (
            <button key={language} type="button" onClick={() => void copy(submissionIn(language, type, record.input), language)}>{language}</button>
          ))}
          {type && <hr />}
          <button type="button" onClick={copyLink}><Icon name="link" />Link to this task<kbd className="end" aria-hidden="true">y</kbd></button>
          <button type="button" onClick={() => void copy(taskId, "Id")}><Icon name="copy" />Task id</button>
        </Menu>
      )}
      {ended && (
        <Menu className="btn icon" icon="more" title="More">
          <button type="button" disabled={Boolean(whyNotCancel)} title={whyNotCancel} onClick={() => setAsked(true)}>
            <Icon name="x" />Delete the task and its result
          </button>
        </Menu>
      )}
      <a className="btn" href={address(["types", record.name], { from: taskId })}><Icon name="edit" />Edit and run</a>
      {ended && (
        <button type="button" className={`btn${broken ? " primary" : ""}`} disabled={busy || Boolean(why)} title={why ?? "r"} onClick={() => void runAgain()}>
          <Icon name="again" />Run again
        </button>
      )}
      {!ended && shared && (
        <button type="button" className="btn danger" disabled={busy || Boolean(offline)} title={offline ?? "Others who want this task still get its result"} onClick={() => void withdraw()}>
          <Icon name="stop" />Withdraw
        </button>
      )}
      {!ended && !shared && (
        <button type="button" className="btn danger" disabled={busy || Boolean(whyNotCancel)} title={whyNotCancel ?? "Shift c"} onClick={() => void cancel()}>
          <Icon name="stop" />Cancel
        </button>
      )}
      {asked && (
        <Dialog
          title="Delete this task and its result?" onClose={() => setAsked(false)}
          actions={<>
            <button type="button" className="btn" onClick={() => setAsked(false)}>Keep it</button>
            <button type="button" className="btn danger" disabled={busy || Boolean(offline)} onClick={() => void forget()}>Delete</button>
          </>}
        >
          <p>Its record, result, timeline and log are deleted at once. This cannot be undone; the task can be run again with the same input.</p>
        </Dialog>
      )}
    </div>
  );
}

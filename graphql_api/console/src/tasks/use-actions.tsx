// Acts on tasks: at once, or after a question if it concerns many or the work of others; says what has come of it.
import { type ReactNode, useState } from "react";
import { refusal } from "../api/client.ts";
import { useMay, useOffline } from "../app/session.ts";
import { counted } from "../ui/format.ts";
import { Dialog } from "../ui/overlay.tsx";
import { toast } from "../ui/toasts.tsx";
import { act, consequence, outcome, type Selection, type Tally } from "./bulk.ts";
import { type Action, ACTIONS } from "./operations.ts";

/** More than so many are changed only after a question. */
const WITHOUT_QUESTION = 10;

interface Question {
  action: Action;
  selection: Selection;
  tally: Tally;
}

export interface Actions {
  /** Does it, or asks first. */
  start(action: Action, selection: Selection): Promise<void>;
  /** Why a person cannot do it now; undefined if they can. */
  refusedBecause(action: Action): string | undefined;
  busy: boolean;
  /** Render it. */
  question: ReactNode;
}

/** @param onDone called after something was done. */
export function useActions(onDone: (action: Action) => void): Actions {
  const [question, setQuestion] = useState<Question>();
  const [busy, setBusy] = useState(false);
  const [progress, setProgress] = useState<number>();
  const offline = useOffline();
  const may = { SUBMIT: useMay("SUBMIT"), CANCEL: useMay("CANCEL") };

  const refusedBecause = (action: Action): string | undefined => {
    const { scope } = ACTIONS[action];
    if (offline) return offline;
    const allowed = action === "withdraw" ? may.SUBMIT || may.CANCEL : may[scope];
    return allowed ? undefined : `Your key does not allow this. An admin can add the scope ${scope}.`;
  };

  const guarded = async (work: () => Promise<void>) => {
    setBusy(true);
    try {
      await work();
    } catch (reason) {
      toast({ kind: "failed", text: refusal(reason).message });
    } finally {
      setBusy(false);
      setProgress(undefined);
    }
  };

  const run = async (action: Action, selection: Selection) => {
    const tally = await act(action, selection, { onProgress: setProgress });
    toast(outcome(action, tally));
    setQuestion(undefined);
    onDone(action);
  };

  const start = (action: Action, selection: Selection) => guarded(async () => {
    const why = refusedBecause(action);
    if (why) return toast({ kind: "failed", text: why });
    const isFew = "ids" in selection && selection.ids.size <= WITHOUT_QUESTION && action === "retry";
    if (isFew) return await run(action, selection);
    const tally = await act(action, selection, { dryRun: true });
    const asks = action === "forget" || tally.more || tally.done > WITHOUT_QUESTION || tally.wantedByOthers > 0;
    if (asks && (tally.done > 0 || tally.refused.length > 0)) setQuestion({ action, selection, tally });
    else await run(action, selection);
  });

  const label = question && `${ACTIONS[question.action].label} ${question.tally.more ? "all" : counted(question.tally.done, "task")}`;
  const dialog = question && (
    <Dialog
      title={`${label}?`} onClose={() => setQuestion(undefined)}
      actions={<>
        <button type="button" className="btn" onClick={() => setQuestion(undefined)}>Keep them as they are</button>
        <button type="button" className="btn primary" disabled={busy || offline !== undefined || question.tally.done === 0} onClick={() => void guarded(() => run(question.action, question.selection))}>
          {busy && progress !== undefined ? `${progress} done …` : label}
        </button>
      </>}
    >
      {consequence(question.action, question.tally).map((line) => <p key={line}>{line}</p>)}
    </Dialog>
  );
  return { start, refusedBecause, busy, question: dialog };
}

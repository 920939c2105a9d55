// The form of any task type, generated from `taskTypes`.
import { hashId, preImage, type SubmissionOutcome, submissionOf } from "@dask-graphql/client";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { type Drafts, draftsOf, type Problems, readMembers } from "./draft.ts";
import { Field, Members } from "./fields.tsx";
import { count, counted } from "../ui/format.ts";
import { READ } from "../api/operations.ts";
import { RefusalView } from "../ui/parts.tsx";
import { argumentsOf, type Member, type TaskType } from "../api/task-types.ts";

/** Example inputs of the built-in task. */
const PRESETS: Record<string, string[]> = { fibonacci: ["90", "1000", "100000", "5000000"] };

const OPTIONS: Member[] = [
  { name: "priority", graphqlName: "priority", graphqlType: "Int", description: "From -100 to 100; tasks with a higher priority run first.", hasDefault: true, default: null },
  { name: "notBefore", graphqlName: "notBefore", graphqlType: "DateTime", description: "Do not run the task before this time.", hasDefault: true, default: null },
];

export interface Submitted {
  taskId: string;
  outcome: SubmissionOutcome;
  /** The id as computed here before the request; undefined if that is not possible. */
  expectedId: string | undefined;
  /** Distinguishes two submissions of one task. */
  round: number;
}

interface FormProps {
  type: TaskType;
  salt: string | null;
  /** A task whose input fills the form, if it is of this type. */
  from: string | undefined;
  onSubmitted(submitted: Omit<Submitted, "round">): void;
}

/** Mount a new one for each task type. */
export function TaskForm({ type, salt, from, onSubmitted }: FormProps) {
  const members = argumentsOf(type);
  const kept = `drafts ${type.name} ${type.version}`;
  const [drafts, setDrafts] = useState<Drafts>(() => storedDrafts(kept, members) ?? draftsOf(members, type.types));
  const [options, setOptions] = useState<Drafts>({});
  const [recompute, setRecompute] = useState(false);
  const [busy, setBusy] = useState(false);
  const [shown, setShown] = useState<Problems>({});
  const [reason, setReason] = useState<Refusal>();
  const form = useRef<HTMLFormElement>(null);
  const wrong = Object.keys(shown);

  useEffect(() => {
    // The message may be far above the button. `shown` changes on submit only, so this does not interrupt typing.
    if (wrong.length > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [shown]);

  // Only the task that the address named at first; later it names tasks submitted here.
  const [first] = useState(from);
  useEffect(() => {
    if (!first) return;
    request<{ task: { name: string; input: Record<string, unknown> } | null }>(READ, { taskId: first }).then(
      ({ task }) => task?.name === type.name && setDrafts(draftsOf(members, type.types, task.input)),
      () => undefined, // the task next to the form shows the error
    );
  }, [first]);

  useEffect(() => {
    // Keep the input, in this tab, for when the user comes back from another page.
    try {
      sessionStorage.setItem(kept, JSON.stringify(drafts));
    } catch {
      // Too long, or not permitted: the input is not kept.
    }
  }, [kept, drafts]);

  const problems: Problems = {};
  const { wire, plain } = readMembers(drafts, members, type.types, problems);
  const image = Object.keys(problems).length === 0 && type.idFromInput ? preImage(type, plain, salt) : undefined;
  const expectedId = image && hashId(image);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const { wire: chosen } = readMembers(options, OPTIONS, [], problems);
    setShown(problems);
    setReason(undefined);
    if (Object.keys(problems).length > 0) return;
    setBusy(true);
    try {
      const { submission } = await request<{ submission: { taskId: string; outcome: SubmissionOutcome } }>(
        submissionOf(type, wire), { ...wire, options: { ...chosen, recompute } },
      );
      onSubmitted({ ...submission, expectedId });
    } catch (why) {
      const { argument, ...rest } = refusal(why);
      setReason({ ...rest, argument });
      if (argument) setShown({ [argument]: rest.message });
    } finally {
      setBusy(false);
    }
  };

  return (
    <form ref={form} onSubmit={submit} noValidate aria-label={type.name}>
      {type.description && <p className="hint description">{type.description}</p>}
      <Members members={members} drafts={drafts} onChange={setDrafts} types={type.types} problems={shown} path="" autoFocus />
      {members.length === 0 && <p className="hint">This task takes no arguments.</p>}
      {PRESETS[type.name] && members[0] && (
        <div className="row" role="group" aria-label="Examples">
          {PRESETS[type.name]!.map((preset) => (
            <button type="button" className="quiet" key={preset} onClick={() => setDrafts({ [members[0]!.name]: preset })}>
              {count(Number(preset))}
            </button>
          ))}
        </div>
      )}
      <div className="row">
        <button type="submit" disabled={busy}>
          Run
        </button>
        <label>
          <input type="checkbox" checked={recompute} onChange={(e) => setRecompute(e.target.checked)} /> run again even if a
          result is kept
        </label>
      </div>
      {reason && <RefusalView reason={reason} />}
      {!reason && wrong.length > 0 && (
        <p className="refusal" role="alert">
          Nothing was submitted: {counted(wrong.length, "value")} {wrong.length === 1 ? "is" : "are"} invalid: {wrong.join(", ")}
        </p>
      )}
      <p className="row id" aria-live="off">
        <span className="hint">Task id</span>
        {expectedId ? <code data-testid="expected-id">{expectedId}</code> : <span className="hint">{whyNoId(type)}</span>}
      </p>
      <details>
        <summary>More</summary>
        {OPTIONS.map((option) => (
          <Field
            key={option.name} types={[]} problems={shown} path={option.name} label={option.name}
            graphqlType={option.graphqlType} description={option.description} draft={options[option.name] ?? ""}
            onChange={(draft) => setOptions({ ...options, [option.name]: draft })}
          />
        ))}
        {image && (
          <figure>
            <figcaption>The id is the first 32 hex digits of the SHA-256 of</figcaption>
            <pre className="scroll" tabIndex={0} aria-label="Pre-image of the task id" role="region">{salt ? image.replace(salt, "…") : image}</pre>
          </figure>
        )}
        <figure>
          <figcaption>The same in GraphQL</figcaption>
          <pre className="scroll" tabIndex={0} aria-label="The mutation" role="region">
            {submissionOf(type, wire)}
            {"\n\n"}
            {JSON.stringify(wire, null, 2)}
          </pre>
        </figure>
      </details>
    </form>
  );
}

/** The input typed before, if it still fits these members. */
function storedDrafts(key: string, members: Member[]): Drafts | undefined {
  try {
    const stored = JSON.parse(sessionStorage.getItem(key) ?? "null") as Drafts | null;
    return stored && Object.keys(stored).every((name) => members.some((member) => member.name === name)) ? stored : undefined;
  } catch {
    return undefined;
  }
}

const whyNoId = (type: TaskType): string =>
  type.idFromInput ? "shown once the form is complete" : "only the api can compute it for this type of input";

// The form of any task type, generated from `taskTypes`.
import { hashId, preImage, type SubmissionOutcome, submissionOf } from "@dask-graphql/client";
import { type FocusEvent, type FormEvent, useEffect, useMemo, useRef, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { READ } from "../api/operations.ts";
import { argumentsOf, type Catalogue, type TaskType } from "../api/task-types.ts";
import { graphiqlLink } from "../graphiql/link.ts";
import { identity } from "../people/sign-in.ts";
import { clock, counted, shortTime } from "../ui/format.ts";
import { copy } from "../ui/copy.tsx";
import { Icon } from "../ui/icon.tsx";
import { Menu } from "../ui/overlay.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { toast } from "../ui/toasts.tsx";
import { type Drafts, draftsOf, type Problems, readMembers } from "./draft.ts";
import { Members } from "./fields.tsx";
import { forgetDraft, keepDraft, keptDraft } from "./kept.ts";
import { Options, OPTIONS } from "./options.tsx";
import { presetLink, presetOf } from "./preset.ts";

/** Example inputs of the built-in task. */
const EXAMPLES: Record<string, string[]> = { fibonacci: ["90", "1000", "100000", "5000000"] };
const KEEP_MILLISECONDS = 1000;

export interface Started {
  taskId: string;
  outcome: SubmissionOutcome;
}

interface FormProps {
  type: TaskType;
  caller: Catalogue["caller"];
  /** Of the address: a preset fills the form. */
  query: URLSearchParams;
  /** A task whose input fills the form, if it is of this type. */
  from: string | undefined;
  onStarted(started: Started): void;
}

/** Mount a new one for each task type. */
export function RunForm({ type, caller, query, from, onStarted }: FormProps) {
  const members = useMemo(() => argumentsOf(type), [type]);
  const defaults = useMemo(() => draftsOf(members, type.types), [members, type]);
  const [kept] = useState(() => keptDraft(caller, type));
  const [drafts, setDrafts] = useState<Drafts>({ ...defaults, ...kept?.drafts });
  const [keptAt, setKeptAt] = useState(kept?.at);
  const [options, setOptions] = useState<Drafts>({});
  const [saved, setSaved] = useState(true);
  const [busy, setBusy] = useState(false);
  /** Fields that somebody has left, or all of them after Run. */
  const [seen, setSeen] = useState<"all" | string[]>([]);
  const [summary, setSummary] = useState<string[]>([]);
  const [reason, setReason] = useState<Refusal>();
  const form = useRef<HTMLFormElement>(null);
  const alert = useRef<HTMLDivElement>(null);

  /** The form starts over with these values; they are no draft before somebody changes them. */
  const fill = (values: Drafts) => {
    setDrafts({ ...defaults, ...values });
    setKeptAt(undefined);
    setSeen([]);
    setSummary([]);
    setReason(undefined);
  };

  const asked = query.toString();
  useEffect(() => {
    const preset = presetOf(query, type);
    if (preset) fill(preset);
  }, [asked]);

  // Not a task that was started here: its input is in the form already.
  const started = useRef<string>(undefined);
  useEffect(() => {
    if (!from || from === started.current) return;
    let current = true;
    request<{ task: { name: string; input: Record<string, unknown> } | null }>(READ, { taskId: from }).then(
      ({ task }) => current && task?.name === type.name && fill(draftsOf(members, type.types, task.input)),
      () => undefined, // the task beside the form says why
    );
    return () => {
      current = false;
    };
  }, [from]);

  const changed = useRef<Drafts>(undefined);
  useEffect(() => {
    const owner = identity();
    const keep = () => {
      if (!changed.current) return;
      // Who has signed out meanwhile leaves nothing behind.
      if (identity() === owner) setKeptAt(keepDraft(caller, type, changed.current));
      changed.current = undefined;
    };
    const timer = setInterval(keep, KEEP_MILLISECONDS);
    addEventListener("pagehide", keep);
    return () => {
      clearInterval(timer);
      removeEventListener("pagehide", keep);
      keep();
    };
  }, [caller, type]);

  const change = (next: Drafts) => {
    setDrafts(next);
    changed.current = next;
    // A refusal is about what was sent.
    if (reason?.argument && members.some(({ name, graphqlName }) => reason.argument!.startsWith(graphqlName) && next[name] !== drafts[name])) setReason(undefined);
  };

  const found: Problems = {};
  const { wire, plain } = readMembers(drafts, members, type.types, found);
  const fits = Object.keys(found).length === 0;
  const { wire: chosen } = readMembers(options, OPTIONS, [], found, "options");
  const runKey = chosen["runKey"] as string | undefined;
  const image = fits && type.idFromInput ? preImage(type, plain, caller.taskIdSalt, runKey) : undefined;
  const shown: Problems = Object.fromEntries(Object.entries(found).filter(([path]) => seen === "all" || seen.some((left) => path.startsWith(left))));
  if (reason?.argument) shown[reason.argument] = reason.message;

  const onBlur = ({ target, relatedTarget }: FocusEvent) => {
    const path = (target as HTMLElement).dataset["path"];
    // An empty field is not wrong before Run; and nothing moves while somebody presses Run.
    const empty = (target as HTMLInputElement).value === "" || (relatedTarget as Element | null)?.closest(".formfoot");
    if (path && !empty && seen !== "all" && !seen.includes(path)) setSeen([...seen, path]);
  };

  const attend = (paths: string[]) => {
    setSummary(paths);
    requestAnimationFrame(() => alert.current?.focus());
  };

  const run = async (event: FormEvent) => {
    event.preventDefault();
    setReason(undefined);
    setSeen("all");
    setSummary([]);
    if (Object.keys(found).length > 0) return attend(Object.keys(found));
    setBusy(true);
    try {
      const { submission } = await request<{ submission: Started }>(
        submissionOf(type, wire), { ...wire, options: { ...given(chosen), recompute: !saved } },
      );
      started.current = submission.taskId;
      changed.current = undefined;
      forgetDraft(caller, type);
      setKeptAt(undefined);
      onStarted(submission);
    } catch (why) {
      const refused = refusal(why);
      setReason(refused);
      if (refused.argument) attend([refused.argument]);
    } finally {
      setBusy(false);
    }
  };

  const toField = (path: string) => {
    const fields = [...(form.current?.querySelectorAll<HTMLElement>("[data-path]") ?? [])];
    const field = fields.filter(({ dataset }) => path.startsWith(dataset["path"]!)).sort((a, b) => b.dataset["path"]!.length - a.dataset["path"]!.length)[0];
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
  };
  const copyLink = () => {
    const link = presetLink(type, wire);
    if (!link) return toast({ kind: "failed", text: "These values are too long for a link" });
    void copy(link, "Link to this form with these values");
  };
  const examples = members[0] ? (EXAMPLES[type.name] ?? []) : [];
  const left = summary.filter((path) => shown[path]);

  return (
    <section className="card runform" aria-labelledby="new-run">
      <header>
        <h2 id="new-run">New run</h2>
        <span className="end row small muted">
          {keptAt !== undefined && (
            <>
              <span>Draft of {Date.now() - keptAt < 12 * 3600 * 1000 ? clock(keptAt).replace(/(\d\d:\d\d):\d\d/, "$1") : shortTime(new Date(keptAt).toISOString())}.</span>
              <button type="button" className="linkbtn" onClick={() => { changed.current = undefined; forgetDraft(caller, type); fill({}); }}>Clear</button>
            </>
          )}
        </span>
        <Menu label={<>Presets<Icon name="down" /></>} className="btn slim">
          <button type="button" onClick={copyLink}><Icon name="link" />Copy a link to these values</button>
          <button type="button" onClick={() => fill({})}><Icon name="again" />Start from the defaults</button>
          {examples.map((example) => (
            <button type="button" key={example} onClick={() => fill({ [members[0]!.name]: example })}>
              <Icon name="star" />{members[0]!.graphqlName} = {Number(example).toLocaleString()}
            </button>
          ))}
        </Menu>
      </header>
      <form ref={form} onSubmit={run} onBlur={onBlur} noValidate aria-label={type.name}>
        <div className="body stack">
          {left.length > 0 && (
            <div ref={alert} className="banner s-failed" role="alert" tabIndex={-1}>
              <Icon name="failed" />
              <div className="grow">
                <p className="strong">{left.length === 1 ? "One field needs" : `${counted(left.length, "field")} need`} your attention</p>
                <ul className="small">
                  {left.map((path) => (
                    <li key={path}>
                      <a href={`#${path}`} onClick={(event) => { event.preventDefault(); toField(path); }}>{path}: {shown[path]}</a>
                    </li>
                  ))}
                </ul>
              </div>
            </div>
          )}
          {reason && !reason.argument && <RefusalView reason={reason} />}
          <Members members={members} drafts={drafts} onChange={change} types={type.types} problems={shown} path="" autoFocus={!from && wide()} />
          {members.length === 0 && <p className="muted small">It takes no input.</p>}
          <Options drafts={options} problems={shown} onChange={setOptions} taskId={image ? { id: hashId(image) } : { why: whyNoId(type) }} />
        </div>
        <div className="formfoot">
          <button type="submit" className="btn primary" disabled={busy}>
            <Icon name="play" />Run
          </button>
          <label className="row small tick">
            <input type="checkbox" checked={saved} onChange={(e) => setSaved(e.target.checked)} />
            Use the saved result if there is one
          </label>
          <a className="end small desk" href={graphiqlLink(submissionOf(type, wire), wire)}>Open in GraphiQL</a>
        </div>
      </form>
    </section>
  );
}

/** A phone would open its keyboard over the page. */
const wide = () => matchMedia("(min-width: 56rem)").matches;

/** Options without a value are left to the api. */
const given = (options: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0)));

const whyNoId = (type: TaskType): string => (type.idFromInput ? "Shown once the form is complete." : "Shown after Run: it depends on how the server writes this input.");

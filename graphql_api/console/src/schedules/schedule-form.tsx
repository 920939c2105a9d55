// The form of a schedule: what it runs, with the fields of the task type, and when; what it would do is told as one types.
import { type FormEvent, type ReactNode, useId, useMemo, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { argumentsOf, type TaskType } from "../api/task-types.ts";
import { useOffline, useSession } from "../app/session.ts";
import { draftsOf, type Drafts, type Problems, readMembers } from "../types/draft.ts";
import { Field, Members } from "../types/fields.tsx";
import { Icon } from "../ui/icon.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { NextRuns, usePreview } from "./next-runs.tsx";
import { OVERLAP_WORDS, PLAN_OPTIONS, PRESETS, type Schedule, SET } from "./operations.ts";
import { definitionOf, type Plan, planOf, planProblems, type Span, UNITS } from "./plan.ts";

interface FormProps {
  /** To be changed; undefined for a new one. */
  schedule: Schedule | undefined;
  /** Of a new one. */
  task: string;
  onSaved(name: string): void;
  children?: ReactNode;
}

export function ScheduleForm({ schedule, task, onSaved, children }: FormProps) {
  const { taskTypes } = useSession().catalogue;
  const offline = useOffline();
  const [plan, setPlan] = useState(() => planOf(schedule, task, Intl.DateTimeFormat().resolvedOptions().timeZone));
  const set = (change: Partial<Plan>) => {
    setPlan((known) => ({ ...known, ...change }));
    setReason(undefined);
  };
  const type = taskTypes.find(({ name }) => name === plan.task);
  const [inputs, setInputs] = useState<Record<string, Drafts>>({});
  const [seen, setSeen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<Refusal>();
  const preview = usePreview(plan);
  const members = useMemo(() => (type ? argumentsOf(type) : []), [type]);
  const drafts = inputs[plan.task] ?? (type ? draftsOf(members, type.types, given(schedule, type)) : {});

  const found: Problems = { ...planProblems(plan) };
  const { plain } = readMembers(drafts, members, type?.types ?? [], found);
  const { plain: options } = readMembers(plan.options, PLAN_OPTIONS, [], found, "schedule");
  const shown: Problems = seen ? { ...found } : {};
  if (reason?.argument) shown[reason.argument] = reason.message;
  const placed = reason?.argument !== undefined && reason.argument !== "schedule.input" && reason.argument !== "task";

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setSeen(true);
    if (!type || Object.keys(found).length > 0) return;
    setBusy(true);
    try {
      await request(SET, { name: plan.name.trim(), schedule: definitionOf(plan, plain, options) });
      onSaved(plan.name.trim());
    } catch (why) {
      setReason(refusal(why));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="card" onSubmit={(event) => void save(event)} noValidate aria-label={schedule ? `Change ${schedule.name}` : "New schedule"}>
      <header><h2>What it runs, and when</h2></header>
      <div className="body stack">
        {reason && !placed && <RefusalView reason={reason} />}
        {seen && Object.keys(found).length > 0 && <p className="problem" role="alert"><Icon name="failed" /><span>{Object.entries(found).map(([path, problem]) => `${path.replace("schedule.", "")}: ${problem}`).join(" ")}</span></p>}
        <div className="fields">
          <Labelled label="Name" problem={shown["name"]} help={schedule ? undefined : "Letters, digits, and after the first _ . - too."}>
            {(id) => <input id={id} className="input" value={plan.name} disabled={schedule !== undefined} autoFocus={!schedule} autoComplete="off" aria-invalid={Boolean(shown["name"])} onChange={(e) => set({ name: e.target.value })} />}
          </Labelled>
          <Labelled label="Task type" problem={type ? undefined : `This api has no task type ${plan.task}.`}>
            {(id) => (
              <select id={id} className="select" value={plan.task} onChange={(e) => set({ task: e.target.value })}>
                {!type && <option>{plan.task}</option>}
                {taskTypes.map(({ name }) => <option key={name}>{name}</option>)}
              </select>
            )}
          </Labelled>
        </div>
        {type && members.length > 0 && (
          <fieldset className="group">
            <legend>Input</legend>
            <Members members={members} drafts={drafts} onChange={(next) => { setInputs({ ...inputs, [plan.task]: next }); setReason(undefined); }} types={type.types} problems={shown} path="" />
          </fieldset>
        )}
        <div className="fields">
          <div className="wide">
            <div className="seg" role="group" aria-label="When">
              <button type="button" aria-pressed={plan.by === "cron"} onClick={() => set({ by: "cron" })}>At times of the clock</button>
              <button type="button" aria-pressed={plan.by === "interval"} onClick={() => set({ by: "interval" })}>At an interval</button>
            </div>
          </div>
          {plan.by === "cron" ? (
            <>
              <Labelled label="Cron" problem={shown["cron"]} help="Minute, hour, day of the month, month, day of the week.">
                {(id) => <input id={id} className="input mono" value={plan.cron} autoComplete="off" spellCheck={false} aria-invalid={Boolean(shown["cron"])} onChange={(e) => set({ cron: e.target.value })} />}
              </Labelled>
              <Labelled label="Time zone" problem={shown["timeZone"]} help="Where clocks change, a fixed time runs once on each of its days.">
                {(id) => (
                  <>
                    <input id={id} className="input" list={`${id}-zones`} value={plan.timeZone} autoComplete="off" spellCheck={false} aria-invalid={Boolean(shown["timeZone"])} onChange={(e) => set({ timeZone: e.target.value })} />
                    <datalist id={`${id}-zones`}>{ZONES.map((zone) => <option key={zone} value={zone} />)}</datalist>
                  </>
                )}
              </Labelled>
              <div className="row wide">
                {PRESETS.map(([cron, words]) => <button key={cron} type="button" className="btn slim soft" aria-pressed={plan.cron === cron} onClick={() => set({ cron })}>{words}</button>)}
              </div>
            </>
          ) : (
            <SpanField label="Every" span={plan.every} problem={shown["everySeconds"]} onChange={(every) => set({ every })} help="At least 10 seconds, counted from 1970." />
          )}
          <NextRuns preview={preview} timeZone={plan.by === "cron" ? plan.timeZone : "UTC"} />
          <Labelled label="While the run before is open" help={OVERLAP_WORDS[plan.overlap][1]}>
            {(id) => (
              <select id={id} className="select" value={plan.overlap} onChange={(e) => set({ overlap: e.target.value as Plan["overlap"] })}>
                {Object.entries(OVERLAP_WORDS).map(([value, [words]]) => <option key={value} value={value}>{words}</option>)}
              </select>
            )}
          </Labelled>
          <SpanField label="Catch up for" span={plan.catchUp} problem={shown["schedule.catchUpSeconds"]} onChange={(catchUp) => set({ catchUp })} help="How late a run may begin, as after an outage; then it is missed." />
        </div>
        <details className="options">
          <summary>Options: priority, tags, how long results are kept</summary>
          <div className="fields">
            {PLAN_OPTIONS.map(({ name, graphqlName, graphqlType, description }) => (
              <Field
                key={name} types={[]} problems={shown} path={`schedule.${name}`} label={graphqlName} graphqlType={graphqlType} description={description} hasDefault
                draft={plan.options[name] ?? (graphqlType.startsWith("[") ? [] : "")} onChange={(draft) => set({ options: { ...plan.options, [name]: draft } })}
              />
            ))}
          </div>
        </details>
      </div>
      <div className="formfoot">
        <button type="submit" className="btn primary" disabled={busy || offline !== undefined || !type} title={offline}>Save</button>
        <a className="btn" href="#/schedules">Cancel</a>
        {children}
      </div>
    </form>
  );
}

/** The input of the schedule that is changed, for its own task type. */
const given = (schedule: Schedule | undefined, type: TaskType): Record<string, unknown> => (schedule?.task === type.name ? schedule.input : {});

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone")];

function Labelled({ label, problem, help, children }: { label: string; problem?: string | undefined; help?: string | undefined; children(id: string): ReactNode }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
      <div className="note">
        {problem && <p className="problem"><Icon name="failed" /><span>{problem}</span></p>}
        {help && <p className="help">{help}</p>}
      </div>
    </div>
  );
}

function SpanField({ label, span, problem, help, onChange }: { label: string; span: Span; problem: string | undefined; help: string; onChange(span: Span): void }) {
  return (
    <Labelled label={label} problem={problem} help={help}>
      {(id) => (
        <div className="span">
          <input id={id} className="input mono" inputMode="numeric" value={span.amount} autoComplete="off" aria-invalid={Boolean(problem)} onChange={(e) => onChange({ ...span, amount: e.target.value })} />
          <select className="select" aria-label={`${label}, unit`} value={span.unit} onChange={(e) => onChange({ ...span, unit: Number(e.target.value) })}>
            {UNITS.map(([seconds, word]) => <option key={seconds} value={seconds}>{word}</option>)}
          </select>
        </div>
      )}
    </Labelled>
  );
}

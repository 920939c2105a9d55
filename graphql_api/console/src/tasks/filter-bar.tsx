// The search field, the states with their counts, what else is filtered by, and a menu to add more.
import type { TaskState } from "@dask-graphql/client";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useKeys } from "../app/keyboard.ts";
import { go } from "../app/route.ts";
import { useSession } from "../app/session.ts";
import { inState } from "../cluster/watch.ts";
import { count, dateTime } from "../ui/format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { STATE_WORDS, stateKey } from "../ui/state.tsx";
import { addressOf, type Filters, NO_FILTERS, taskIdIn, timeOf } from "./filters.ts";
import { Picker } from "./picker.tsx";
import type { Row } from "./rows.ts";

const SEARCH_MILLISECONDS = 300;
const STATES = Object.keys(STATE_WORDS) as TaskState[];

interface FilterBarProps {
  filters: Filters;
  rows: readonly Row[];
  children: ReactNode;
}

export function FilterBar({ filters, rows, children }: FilterBarProps) {
  const { cluster } = useSession().watch;
  const set = (change: Partial<Filters>) => go(addressOf({ ...filters, ...change }));
  const toggle = (state: TaskState) =>
    set({ state: filters.state.includes(state) ? filters.state.filter((one) => one !== state) : [...filters.state, state] });
  const chips = chipsOf(filters);
  return (
    <div className="tasktools">
      <SearchBox filters={filters} />
      <div className="row scrollrow" role="group" aria-label="Filters">
        {STATES.map((state) => (
          <button key={state} type="button" className="btn slim soft" aria-pressed={filters.state.includes(state)} onClick={() => toggle(state)}>
            <span className={`state s-${stateKey(state)}`}><Icon name={stateKey(state)} /></span>
            {STATE_WORDS[state]}
            {cluster && <span className="count">{count(inState(cluster, state))}</span>}
          </button>
        ))}
        {chips.map(({ name, value, without }) => (
          <span key={`${name} ${value}`} className="chip">
            {name} <b>{value}</b>
            <button type="button" aria-label={`Remove filter ${name} ${value}`} onClick={() => set(without)}><Icon name="x" /></button>
          </span>
        ))}
        <AddFilter filters={filters} rows={rows} set={set} />
        {(chips.length > 0 || filters.state.length > 0 || filters.q) && (
          <a className="btn quiet slim" href={addressOf({ ...NO_FILTERS, sort: filters.sort })}>Clear</a>
        )}
      </div>
      <div className="row end">{children}</div>
    </div>
  );
}

/** The text of the address, a moment after the last key; a task id goes to its task. */
function SearchBox({ filters }: { filters: Filters }) {
  const [text, setText] = useState(filters.q);
  const field = useRef<HTMLInputElement>(null);
  const newest = useRef(filters);
  newest.current = filters;
  useKeys({ "/": { what: "Search", run: () => field.current?.select() } });
  useEffect(() => setText(filters.q), [filters.q]);

  const search = (q: string) => {
    const taskId = taskIdIn(q);
    if (taskId) return go(`#/tasks/${taskId}`);
    // One step back undoes the search, however often the text was changed.
    if (q.trim() !== newest.current.q) go(addressOf({ ...newest.current, q: q.trim() }), { replace: newest.current.q !== "" });
  };
  useEffect(() => {
    const timer = setTimeout(() => text !== filters.q && search(text), SEARCH_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [text]);

  return (
    <form className="searchbox" role="search" onSubmit={(event) => { event.preventDefault(); search(text); }}>
      <Icon name="search" />
      <input
        ref={field} type="search" aria-label="Search tasks" placeholder="Text, id or error"
        value={text} onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => { if (event.key === "Escape") event.currentTarget.blur(); }}
      />
      <kbd className="desk" aria-hidden="true">/</kbd>
    </form>
  );
}

const SPANS: Record<string, string> = { "15m": "last 15 min", "1h": "last hour", "24h": "last 24 h", "7d": "last 7 days", today: "today" };

const timeWords = (text: string): string => {
  const time = SPANS[text] ? undefined : timeOf(text, Date.now());
  return SPANS[text] ?? (/^\d+[mhd]$/.test(text) ? `last ${text}` : time ? dateTime(time.getTime()) : text);
};

interface Chip {
  name: string;
  value: string;
  without: Partial<Filters>;
}

function chipsOf(filters: Filters): Chip[] {
  const each = (name: string, key: "type" | "tag" | "error"): Chip[] =>
    filters[key].map((value) => ({ name, value, without: { [key]: filters[key].filter((one) => one !== value) } }));
  const one = (name: string, key: "by" | "since" | "until" | "ended" | "endedUntil" | "longer" | "shorter" | "worker" | "failure", words = (value: string) => value): Chip[] =>
    filters[key] ? [{ name, value: words(filters[key]), without: { [key]: "" } }] : [];
  return [
    ...each("Type", "type"), ...each("Tag", "tag"), ...each("Error", "error"), ...one("By", "by"),
    ...one(/^\d+[mhd]$|^today$/.test(filters.since) ? "Submitted" : "Since", "since", timeWords), ...one("Until", "until", timeWords),
    ...one("Ended", "ended", timeWords), ...one("Ended until", "endedUntil", timeWords),
    ...one("Ran at least", "longer", (seconds) => `${seconds} s`), ...one("Ran at most", "shorter", (seconds) => `${seconds} s`), ...one("Worker", "worker"),
    ...one("Failed", "failure", () => "with the same error"),
  ];
}

type Kind = "type" | "tag" | "error" | "by" | "time" | "duration" | "worker";

const KINDS: [Kind, string, IconName][] = [
  ["type", "Task type", "types"], ["tag", "Tag", "tag"], ["error", "Error", "failed"], ["by", "Submitted by", "user"], ["time", "Time", "queued"],
  ["duration", "Run time", "chart"], ["worker", "Worker", "cluster"],
];

const PLATFORM_CODES = ["TASK_FAILED", "TIMEOUT", "WORKER_LOST", "OUT_OF_MEMORY", "BAD_OUTPUT", "RESULT_TOO_LARGE", "NOT_INSTALLED", "EXPIRED_BEFORE_START", "FILE_NOT_FOUND", "BLOB_STORE"];

const values = (found: Iterable<string | null | undefined>): string[] => [...new Set([...found].filter((value): value is string => Boolean(value)))].sort();

function AddFilter({ filters, rows, set }: { filters: Filters; rows: readonly Row[]; set(change: Partial<Filters>): void }) {
  const [kind, setKind] = useState<Kind>();
  const [open, setOpen] = useState(false);
  const { catalogue } = useSession();
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);
  const close = () => menu.current?.hidePopover();
  useKeys({ f: { what: "Add a filter", run: () => menu.current?.showPopover() } });

  const add = (key: "type" | "tag" | "error") => (value: string) => {
    close();
    set({ [key]: filters[key].includes(value) ? filters[key].filter((one) => one !== value) : [...filters[key], value] });
  };
  const only = (key: "by" | "worker") => (value: string) => {
    close();
    set({ [key]: value });
  };
  const picker = (label: string, found: string[], chosen: readonly string[], onPick: (value: string) => void, words: Record<string, string> = {}) => (
    <Picker
      label={label} placeholder={`Find: ${label.toLowerCase()}`} onPick={onPick} onText={onPick}
      options={found.map((value) => ({ value, label: words[value] ?? value, words: words[value] ?? "", chosen: chosen.includes(value) }))}
    />
  );
  const panels: Record<Kind, () => ReactNode> = {
    type: () => <Picker
      label="Task type" placeholder={`Find one of ${catalogue.taskTypes.length}`} onPick={add("type")} onText={add("type")}
      options={catalogue.taskTypes.map(({ name, description }) => ({ value: name, label: name, words: description, chosen: filters.type.includes(name) }))}
    />,
    tag: () => picker("Tag", values(rows.flatMap(({ tags }) => tags)), filters.tag, add("tag")),
    error: () => picker("Error code", values([...rows.map(({ error }) => error?.code), ...PLATFORM_CODES]), filters.error, add("error")),
    by: () => picker("Submitted by", values(["me", ...rows.map(({ submittedBy }) => submittedBy)]), [filters.by], only("by"), { me: "me" }),
    worker: () => picker("Worker", values(rows.map(({ worker }) => worker)), [filters.worker], only("worker")),
    time: () => <TimePanel filters={filters} onSet={(change) => { close(); set(change); }} />,
    duration: () => <DurationPanel filters={filters} onSet={(change) => { close(); set(change); }} />,
  };
  return (
    <>
      <button type="button" className="btn quiet slim" popoverTarget={id} aria-keyshortcuts="f"><Icon name="plus" />Add filter</button>
      <div
        ref={menu} id={id} className="menu filtermenu" popover="auto"
        onToggle={(event) => { setOpen(event.newState === "open"); if (event.newState !== "open") setKind(undefined); }}
      >
        {open && (kind
          ? <>
              <button type="button" onClick={() => setKind(undefined)}><Icon name="left" />{KINDS.find(([key]) => key === kind)![1]}</button>
              {panels[kind]()}
            </>
          : KINDS.map(([key, title, icon]) => <button key={key} type="button" onClick={() => setKind(key)}><Icon name={icon} />{title}<Icon name="right" className="end" /></button>))}
      </div>
    </>
  );
}

function TimePanel({ filters, onSet }: { filters: Filters; onSet(change: Partial<Filters>): void }) {
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  return (
    <>
      {Object.entries(SPANS).map(([value, words]) => (
        <button key={value} type="button" onClick={() => onSet({ since: value, until: "" })}>
          {words[0]!.toUpperCase() + words.slice(1)}
          {filters.since === value && <Icon name="check" className="end" />}
        </button>
      ))}
      <hr />
      <form className="menuform" onSubmit={(event) => { event.preventDefault(); onSet({ since, until }); }}>
        <label>From <input className="input" type="datetime-local" value={since} onChange={(event) => setSince(event.target.value)} /></label>
        <label>To <input className="input" type="datetime-local" value={until} onChange={(event) => setUntil(event.target.value)} /></label>
        <p className="muted small">By the clock of this device</p>
        <button type="submit" className="btn" disabled={!since && !until}>Show</button>
      </form>
    </>
  );
}

function DurationPanel({ filters, onSet }: { filters: Filters; onSet(change: Partial<Filters>): void }) {
  const [longer, setLonger] = useState(filters.longer);
  const [shorter, setShorter] = useState(filters.shorter);
  return (
    <form className="menuform" onSubmit={(event) => { event.preventDefault(); onSet({ longer, shorter }); }}>
      <label>At least, in seconds <input className="input" type="number" min="0" step="any" value={longer} autoFocus onChange={(event) => setLonger(event.target.value)} /></label>
      <label>At most, in seconds <input className="input" type="number" min="0" step="any" value={shorter} onChange={(event) => setShorter(event.target.value)} /></label>
      <p className="muted small">Of tasks that have ended</p>
      <button type="submit" className="btn">Show</button>
    </form>
  );
}

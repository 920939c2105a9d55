// The list of all task types: to find one by name or description, with those first that a person pinned or used last.
import { type KeyboardEvent, useRef, useState } from "react";
import { useKeys } from "../app/keyboard.ts";
import { address, go } from "../app/route.ts";
import type { TaskType } from "../api/task-types.ts";
import { count, duration } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import type { Chosen } from "./kept.ts";
import type { Figures } from "./operations.ts";

/** A common first word makes a group from so many task types on. */
const SMALLEST_GROUP = 3;

export interface Group {
  title: string;
  types: TaskType[];
}

export const matchesSearch = ({ name, description }: TaskType, words: string): boolean => {
  const text = `${name} ${name.replaceAll("_", " ")} ${description}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
};

/** The first sentence of a description. */
export const firstLine = ({ description }: TaskType): string => description.split("\n")[0]!.replace(/\.(\s.*)?$/, "").replaceAll("`", "");

/** By the first word of their names, where enough share it; all others in one group. */
export function groupsOf(types: TaskType[]): Group[] {
  const byWord = new Map<string, TaskType[]>();
  for (const type of [...types].sort((a, b) => a.name.localeCompare(b.name))) {
    const word = type.name.split("_")[0]!;
    byWord.set(word, [...(byWord.get(word) ?? []), type]);
  }
  const large = [...byWord].filter(([, members]) => members.length >= SMALLEST_GROUP);
  const others = [...byWord].flatMap(([, members]) => (members.length < SMALLEST_GROUP ? members : []));
  const groups = large.map(([title, members]) => ({ title, types: members }));
  return others.length > 0 ? [...groups, { title: large.length > 0 ? "Others" : "All", types: others }] : groups;
}

interface CatalogueProps {
  taskTypes: TaskType[];
  chosen: Chosen;
  /** The task type that is shown. */
  shown: string | undefined;
  figures: Map<string, Figures>;
}

export function CatalogueList({ taskTypes, chosen, shown, figures }: CatalogueProps) {
  const [words, setWords] = useState("");
  /** On a narrow screen the field opens the list over the whole screen. */
  const [open, setOpen] = useState(false);
  const list = useRef<HTMLElement>(null);
  const field = useRef<HTMLInputElement>(null);
  useKeys({ "/": { what: "Find a task type", run: () => field.current?.focus() } });
  const named = (names: string[]) => names.flatMap((name) => taskTypes.find((type) => type.name === name) ?? []);
  const groups = words
    ? [{ title: "Found", types: taskTypes.filter((type) => matchesSearch(type, words)) }]
    : [{ title: "Pinned", types: named(chosen.pinned) }, { title: "Used last", types: named(chosen.recent) }, ...groupsOf(taskTypes)];
  const filled = groups.filter(({ types }) => types.length > 0);
  const close = () => {
    setOpen(false);
    setWords("");
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const links = [...(list.current?.querySelectorAll<HTMLElement>("li a") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    if (event.key === "Escape") {
      close();
      field.current?.blur();
    } else if (event.key === "Enter" && event.target === field.current && links[0]) {
      go(links[0].getAttribute("href")!);
      close();
      field.current?.blur();
    } else if (event.key === "ArrowDown") links[at + 1]?.focus();
    else if (event.key === "ArrowUp") (links[at - 1] ?? field.current)?.focus();
    else return;
    event.preventDefault();
  };

  return (
    <nav ref={list} className={open ? "card catalogue open" : "card catalogue"} aria-label="Task types" onKeyDown={onKeyDown}>
      <div className="cardhead">
        <h2><a href="#/types">Task types</a></h2>
        <span className="count">{count(taskTypes.length)}</span>
      </div>
      <div className="find">
        <div className="searchbox">
          <Icon name="search" />
          <input
            ref={field} type="search" aria-label="Find a task type" placeholder="Find by name or description" value={words}
            onFocus={() => setOpen(true)} onChange={(event) => setWords(event.target.value)}
          />
        </div>
        <button type="button" className="btn icon quiet" aria-label="Close the list" title="Close the list" onClick={close}>
          <Icon name="x" />
        </button>
      </div>
      <div className="list">
        {filled.map(({ title, types }, index) => (
          <section key={title} aria-label={title}>
            <h3>
              <span>{title}</span>
              {index === 0 && <span>usual time</span>}
            </h3>
            <ul>
              {types.map((type) => (
                <li key={type.name}>
                  <Entry type={type} shown={type.name === shown} figures={figures.get(type.name)} onPick={close} />
                </li>
              ))}
            </ul>
          </section>
        ))}
        {filled.length === 0 && <p className="muted small nothing">No task type has “{words}” in its name or description.</p>}
      </div>
    </nav>
  );
}

/** The share of failed runs in words; nothing while there is none. */
export const failedShare = (figures: Figures | undefined): string | undefined => {
  const { runs = 0, failed = 0 } = figures?.stats ?? {};
  if (failed === 0 || runs === 0) return undefined;
  const percent = (failed / runs) * 100;
  return percent < 1 ? "under 1 %" : `${Math.round(percent)} %`;
};

function Entry({ type, shown, figures, onPick }: { type: TaskType; shown: boolean; figures: Figures | undefined; onPick(): void }) {
  const usual = figures?.stats?.runP50;
  const share = failedShare(figures);
  return (
    <a href={address(["types", type.name])} aria-current={shown ? "page" : undefined} onClick={onPick}>
      <b className="clip">{type.name}</b>
      <span>{usual !== null && usual !== undefined && duration(usual * 1000)}</span>
      <span className="clip">{firstLine(type)}</span>
      <span className={share ? "bad" : undefined}>{figures?.paused ? "paused" : share && `${share} fail`}</span>
    </a>
  );
}

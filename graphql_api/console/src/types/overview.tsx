// All task types in a table: what runs often, what fails, what takes long.
import { useState } from "react";
import { address, go } from "../app/route.ts";
import type { TaskType } from "../api/task-types.ts";
import { Empty } from "../ui/banner.tsx";
import { count, duration } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { failedShare, firstLine, matchesSearch } from "./catalogue.tsx";
import type { Figures } from "./operations.ts";

/** What a column is sorted by. */
const SORTS = {
  name: () => 0,
  runs: (figures) => figures?.stats?.runs ?? 0,
  failed: (figures) => (figures?.stats?.runs ? figures.stats.failed / figures.stats.runs : 0),
  time: (figures) => figures?.stats?.runP50 ?? -1,
  open: (figures) => figures?.open ?? 0,
} satisfies Record<string, (figures: Figures | undefined) => number>;

type Sort = keyof typeof SORTS;

interface OverviewProps {
  taskTypes: TaskType[];
  figures: Map<string, Figures>;
  query: URLSearchParams;
}

export function Overview({ taskTypes, figures, query }: OverviewProps) {
  const [words, setWords] = useState(query.get("q") ?? "");
  const sort: Sort = (Object.keys(SORTS) as Sort[]).find((name) => name === query.get("sort")) ?? "name";
  const shown = taskTypes
    .filter((type) => matchesSearch(type, words))
    .sort((a, b) => SORTS[sort](figures.get(b.name)) - SORTS[sort](figures.get(a.name)) || a.name.localeCompare(b.name));
  const head = (name: Sort, title: string, className = "") => (
    <th scope="col" className={className} aria-sort={sort === name ? (name === "name" ? "ascending" : "descending") : undefined}>
      <button type="button" className="sort" onClick={() => go(address(["types"], { sort: name === "name" ? undefined : name, q: words }), { replace: true })}>
        {title}
        <Icon name="sortdown" />
      </button>
    </th>
  );
  if (taskTypes.length === 0) {
    return (
      <section className="card">
        <Empty icon="types" title="No task types yet">
          Name the modules that have them in <code>DASK_GRAPHQL_TASK_MODULES</code>, and start the system again.
        </Empty>
      </section>
    );
  }
  return (
    <>
      <div className="pagehead">
        <h1>Task types</h1>
        <span className="count">{count(taskTypes.length)}</span>
      </div>
      <section className="card" aria-label="All task types">
        <div className="tasktools">
          <div className="searchbox">
            <Icon name="search" />
            <input
              type="search" aria-label="Find a task type" placeholder="Find by name or description" value={words}
              onChange={({ target: { value } }) => {
                setWords(value);
                go(address(["types"], { sort: query.get("sort") ?? undefined, q: value }), { replace: true });
              }}
            />
          </div>
          <span className="muted small">Figures of the last 24 hours</span>
        </div>
        <div className="tablewrap">
          <table className="typelist">
            <thead>
              <tr>
                {head("name", "Task type")}
                <th scope="col" className="about">Description</th>
                {head("open", "Open", "num")}
                {head("runs", "Runs", "num")}
                {head("failed", "Failed", "num")}
                {head("time", "Usual time", "num")}
              </tr>
            </thead>
            <tbody>
              {shown.map((type) => (
                <Row key={type.name} type={type} figures={figures.get(type.name)} />
              ))}
            </tbody>
          </table>
        </div>
        {shown.length === 0 && <Empty icon="search" title="Nothing found">No task type has “{words}” in its name or description.</Empty>}
      </section>
    </>
  );
}

function Row({ type, figures }: { type: TaskType; figures: Figures | undefined }) {
  const { name } = type;
  const stats = figures?.stats;
  const list = (states: string) => address(["tasks"], { type: name, state: states });
  return (
    <tr>
      <th scope="row">
        <a className="strongname" href={address(["types", name])}>{name}</a>
        {figures?.paused && <span className="tag">paused</span>}
      </th>
      <td className="about muted clip" title={type.description}>{firstLine(type)}</td>
      <td className="num">{figures?.open ? <a href={list("queued,running")}>{count(figures.open)}</a> : <span className="muted">–</span>}</td>
      <td className="num">{stats?.runs ? <a href={address(["tasks"], { type: name, ended: "24h" })}>{count(stats.runs)}</a> : <span className="muted">–</span>}</td>
      <td className="num">
        {stats?.failed ? <a className="bad" href={address(["tasks"], { type: name, state: "failed", ended: "24h" })}>{count(stats.failed)} · {failedShare(figures)}</a> : <span className="muted">–</span>}
      </td>
      <td className="num">{stats?.runP50 !== null && stats?.runP50 !== undefined ? duration(stats.runP50 * 1000) : <span className="muted">–</span>}</td>
    </tr>
  );
}

// The audit log: who did what and when, newest first.
import { useState } from "react";
import { usePoll } from "../api/poll.ts";
import { address, go } from "../app/route.ts";
import { useMay } from "../app/session.ts";
import { Banner, Empty, Loading } from "../ui/banner.tsx";
import { counted, shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Forbidden } from "./forbidden.tsx";
import { ACTIONS, actionWords, AUDIT, type AuditEntry, type AuditPageData, outcomeWords } from "./operations.ts";

const ROWS = 50;
const MILLISECONDS = 15_000;
/** Tasks of one entry that are linked. */
const LINKED = 3;

export function AuditPage({ query }: { query: URLSearchParams }) {
  const may = useMay("ADMIN");
  if (!may) return <><h1>Audit</h1><Forbidden what="the audit log" scope="admin" /></>;
  // Another filter begins at the newest page.
  return <Log key={query.toString()} query={query} />;
}

function Log({ query }: { query: URLSearchParams }) {
  const filter = { caller: query.get("caller") ?? "", action: query.get("action") ?? "", task: query.get("task") ?? "" };
  const [pages, setPages] = useState<string[]>([]);
  const variables = { first: ROWS, after: pages.at(-1) ?? null, caller: filter.caller || null, action: filter.action.toUpperCase() || null, taskId: filter.task || null };
  const { data, reason } = usePoll<AuditPageData>(AUDIT, variables, MILLISECONDS);
  const show = (changes: Partial<typeof filter>) => go(address(["audit"], { ...filter, ...changes }));
  const entries = data?.audit?.edges.map(({ node }) => node) ?? [];
  const filtered = Object.values(filter).some(Boolean);
  return (
    <>
      <div className="pagehead"><h1>Audit</h1><span className="muted">Who did what, newest first</span></div>
      <section className="card" aria-label="Audit log">
        <form className="cardhead" role="search" aria-label="Filter the audit log" onSubmit={(event) => { event.preventDefault(); const form = new FormData(event.currentTarget); show({ caller: String(form.get("caller")).trim(), task: String(form.get("task")).trim() }); }}>
          <label className="searchbox wide"><Icon name="user" /><span className="visually-hidden">Caller</span><input type="search" name="caller" placeholder="Caller" defaultValue={filter.caller} /></label>
          <label className="searchbox wide"><Icon name="search" /><span className="visually-hidden">Task id</span><input type="search" name="task" placeholder="Task id" defaultValue={filter.task} /></label>
          <select className="select auto" aria-label="Action" value={filter.action} onChange={(event) => show({ action: event.target.value })}>
            <option value="">All actions</option>
            {Object.entries(ACTIONS).map(([action, words]) => <option key={action} value={action.toLowerCase()}>{words}</option>)}
          </select>
          <button type="submit" className="btn">Filter</button>
          {filtered && <button type="button" className="btn quiet" onClick={() => go("#/audit")}>Clear</button>}
        </form>
        {reason && <Banner kind="failed" title="The audit log cannot be shown">{reason.message}</Banner>}
        {!data && !reason && <Loading what="the audit log" />}
        {data && entries.length === 0 && (
          <Empty icon="audit" title={filtered || pages.length ? "Nothing fits the filter here" : "Nothing was done yet"}>
            {data.audit?.pageInfo.hasNextPage ? "Older entries may: go on." : filtered ? "Callers are found by their whole name or id." : "What callers do appears here within a second."}
          </Empty>
        )}
        {entries.length > 0 && <Entries entries={entries} onCaller={(caller) => show({ caller })} />}
        {(pages.length > 0 || data?.audit?.pageInfo.hasNextPage) && (
          <div className="foot">
            <span>Page {pages.length + 1}</span>
            <span className="row end">
              <button type="button" className="btn slim" disabled={pages.length === 0} onClick={() => setPages(pages.slice(0, -1))}><Icon name="left" />Newer</button>
              <button type="button" className="btn slim" disabled={!data?.audit?.pageInfo.hasNextPage} onClick={() => setPages([...pages, data!.audit!.pageInfo.endCursor!])}>Older<Icon name="right" /></button>
            </span>
          </div>
        )}
      </section>
    </>
  );
}

const Entries = ({ entries, onCaller }: { entries: AuditEntry[]; onCaller(caller: string): void }) => (
  <div className="tablewrap" tabIndex={0} role="group" aria-label="Audit log">
    <table>
      <thead>
        <tr>
          <th scope="col">Time</th><th scope="col">Who</th><th scope="col">Did</th><th scope="col">What</th><th scope="col">Outcome</th><th scope="col">From</th><th scope="col">Tenant</th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry, index) => (
          <tr key={`${entry.at} ${index}`}>
            <td><time dateTime={entry.at} title={wholeTime(entry.at)}>{shortTime(entry.at)}</time></td>
            <td>
              {entry.callerId ? (
                <button type="button" className="linkbtn quietlink" title={`Only what ${entry.caller ?? entry.callerId} did (${entry.callerId})`} onClick={() => onCaller(entry.callerId!)}>{entry.caller ?? entry.callerId}</button>
              ) : <span className="muted">Unknown</span>}
            </td>
            <td>{entry.action === "REFUSED" ? <span className="state s-failed"><Icon name="failed" />{actionWords(entry.action)}</span> : actionWords(entry.action)}</td>
            <td><What entry={entry} /></td>
            <td className="muted">{outcomeWords(entry.code)}</td>
            <td className="muted">{entry.address}</td>
            <td className="muted">{entry.tenant}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);

function What({ entry: { name, taskIds, count } }: { entry: AuditEntry }) {
  const more = Math.max(count, taskIds.length) - Math.min(LINKED, taskIds.length);
  return (
    <>
      {name && <span className="strong">{name} </span>}
      {taskIds.slice(0, LINKED).map((id) => <a key={id} className="mono" href={address(["tasks", id])} title={id}>{id.slice(0, 8)} </a>)}
      {more > 0 && (taskIds.length > 0 ? <span className="muted">and {more} more</span> : count > 1 && <span className="muted">{counted(count, "time")}</span>)}
    </>
  );
}

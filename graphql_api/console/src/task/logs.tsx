// What a task prints and logs: live, searched, filtered.
import type { LogLine } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { client, deliver } from "../api/client.ts";
import { address, go } from "../app/route.ts";
import { clock, count, counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Marked } from "../ui/marked.tsx";
import { saveText } from "../ui/save.ts";

/** As many as the api keeps. */
const KEPT_LINES = 200;
/** Lines may come by the hundred in a second: they are shown together. */
const SHOW_MILLISECONDS = 200;
/** How near to its end a list counts as being there, in pixels. */
const NEAR = 24;

const LEVELS = { all: 0, warnings: 1, errors: 2 } as const;
type Level = keyof typeof LEVELS;

const rankOf = ({ level }: LogLine): number => (level === "ERROR" || level === "CRITICAL" ? 2 : level === "WARNING" ? 1 : 0);

interface LogsProps {
  taskId: string;
  /** The task has not ended, so lines may follow. */
  open: boolean;
  section: string | undefined;
  query: URLSearchParams;
}

export function TaskLogs({ taskId, open, section, query }: LogsProps) {
  const lines = useLines(taskId, open);
  const [search, setSearch] = useState(query.get("q") ?? "");
  const [level, setLevel] = useState<Level>("all");
  const [attempt, setAttempt] = useState(query.get("attempt") ?? "");
  const [wrap, setWrap] = useState(true);
  const [following, setFollowing] = useState(true);
  /** The newest line when the reader left the end. */
  const [seen, setSeen] = useState(0);
  const list = useRef<HTMLOListElement>(null);

  useEffect(() => {
    const shown = list.current;
    if (shown && following) shown.scrollTop = shown.scrollHeight;
  }, [lines, following]);

  // The address keeps what is looked for.
  const keep = (q: string, of: string) => {
    setSearch(q);
    setAttempt(of);
    go(address(["tasks", taskId, ...(section ? [section] : [])], { q, attempt: of }), { replace: true });
  };
  const newest = lines.at(-1)?.number ?? 0;
  const stop = () => {
    setFollowing(false);
    setSeen(newest);
  };
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = list.current!;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd && !following && open) setFollowing(true);
    if (!atEnd && following) stop();
  };

  const wanted = search.trim().toLowerCase();
  const attempts = [...new Set(lines.map((line) => line.attempt))];
  const ofAttempt = attempt ? lines.filter((line) => String(line.attempt) === attempt) : lines;
  const found = wanted ? ofAttempt.filter(({ text }) => text.toLowerCase().includes(wanted)) : ofAttempt;
  const shown = found.filter((line) => rankOf(line) >= LEVELS[level]);
  const levels: [Level, string][] = [
    ["all", "All"],
    ["warnings", `Warnings ${count(found.filter((line) => rankOf(line) === 1).length)}`],
    ["errors", `Errors ${count(found.filter((line) => rankOf(line) === 2).length)}`],
  ];
  const fresh = following ? 0 : lines.filter(({ number }) => number > seen).length;
  const save = () => saveText(lines.map(({ at, attempt: of, level: how, text }) => `${at} attempt ${of} ${how} ${text}\n`).join(""), `${taskId.slice(0, 8)}.log`);

  return (
    <section className="card" id="logs" aria-label="Logs">
      <header>
        <h2>Logs</h2>
        <span className="muted small">What the task prints and logs{lines.length > 0 && lines[0]!.number > 1 && `: its last ${counted(lines.length, "line")}`}</span>
      </header>
      {lines.length === 0 ? (
        <p className="advice muted">{open ? "Nothing yet. Lines appear here as soon as the task writes any." : "It has written nothing."}</p>
      ) : (
        <>
          <div className="logtools">
            <div className="searchbox">
              <Icon name="search" />
              <input type="search" aria-label="Search in the logs" placeholder="Search in the logs" value={search} onChange={(event) => keep(event.target.value, attempt)} />
            </div>
            <div className="seg" role="group" aria-label="Level">
              {levels.map(([name, words]) => (
                <button key={name} type="button" aria-pressed={level === name} onClick={() => setLevel(name)}>{words}</button>
              ))}
            </div>
            {(attempts.length > 1 || attempt) && (
              <select className="select narrow" aria-label="Attempt" value={attempt} onChange={(event) => keep(search, event.target.value)}>
                <option value="">All attempts</option>
                {attempts.map((number) => <option key={number} value={number}>Attempt {number}</option>)}
              </select>
            )}
            <span className="row end desk">
              <button type="button" className="btn icon quiet slim" aria-pressed={wrap} aria-label="Wrap long lines" title="Wrap long lines" onClick={() => setWrap(!wrap)}><Icon name="wrap" /></button>
              <button type="button" className="btn icon quiet slim" aria-label="Download all lines" title="Download all lines" onClick={save}><Icon name="download" /></button>
            </span>
          </div>
          <ol ref={list} className={`log${wrap ? "" : " unwrapped"}`} tabIndex={0} aria-label="Log lines" onScroll={onScroll}>
            {shown.map((line, index) => <Line key={line.number} line={line} before={shown[index - 1]} wanted={wanted} />)}
          </ol>
        </>
      )}
      {lines.length > 0 && (
        <div className="follow">
          <i className={`livedot${open && following ? "" : " off"}`} />
          <span role="status">
            {wanted || level !== "all" || attempt ? `${count(shown.length)} of ${counted(lines.length, "line")}` : open ? (following ? "Live: new lines appear at the end" : "Paused") : counted(lines.length, "line")}
          </span>
          {open && (
            <button type="button" className="btn slim end" onClick={following ? stop : () => setFollowing(true)}>
              <Icon name={following ? "pause" : "play"} />
              {following ? "Pause" : fresh > 0 ? `Show ${counted(fresh, "new line")}` : "Follow"}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Line({ line, before, wanted }: { line: LogLine; before: LogLine | undefined; wanted: string }) {
  const { at, attempt, dropped, level, text } = line;
  const rank = rankOf(line);
  const begins = before && before.attempt !== attempt;
  return (
    <>
      {begins && <li className="between"><span className="split-line">Attempt {attempt}</span></li>}
      {dropped > 0 && <li className="between"><span className="split-line">{counted(dropped, "line")} dropped</span></li>}
      <li className={["", "warn", "err"][rank]}>
        <time dateTime={at}>{clock(at, true)}</time>
        <span>{level === "WARNING" ? "WARN" : level}</span>
        <span><Marked text={text} wanted={wanted} /></span>
      </li>
    </>
  );
}

/** The lines of the current run, or of the last one. */
function useLines(taskId: string, open: boolean): LogLine[] {
  const [lines, setLines] = useState<LogLine[]>([]);
  const last = useRef(0);
  useEffect(() => {
    let fresh: LogLine[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      const shown = fresh;
      fresh = [];
      setLines((known) => [...known, ...shown].slice(-KEPT_LINES));
    };
    // The api ends it with the task. `open` is a dependency as a task that ended may run again.
    const stop = deliver((signal) => client.logs(taskId, { after: last.current, signal }), {
      next: (line) => {
        last.current = line.number;
        fresh.push(line);
        timer ??= setTimeout(show, SHOW_MILLISECONDS);
      },
      error: () => undefined, // the page's other requests show why
    });
    return () => {
      stop();
      clearTimeout(timer);
      show();
    };
  }, [taskId, open]);
  return lines;
}

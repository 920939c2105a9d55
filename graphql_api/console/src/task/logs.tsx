// What a task prints and logs.
import type { LogLine } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { client, deliver } from "../api/client.ts";
import { clock, counted } from "../ui/format.ts";

/** As many as the api keeps. */
const KEPT_LINES = 200;
/** Lines may come by the hundred in a second: they are shown together. */
const SHOW_MILLISECONDS = 200;

/** `open`: the task has not ended, so lines may follow. Renders nothing before the first line. */
export function TaskLogs({ taskId, open }: { taskId: string; open: boolean }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const last = useRef(0);
  const list = useRef<HTMLOListElement>(null);

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

  useEffect(() => {
    // Follow the end, unless the reader has scrolled up.
    const shown = list.current;
    if (shown && shown.scrollHeight - shown.scrollTop - shown.clientHeight < 200) shown.scrollTop = shown.scrollHeight;
  }, [lines]);

  if (lines.length === 0) return null;
  const attempts = lines.some(({ attempt }) => attempt !== lines[0]!.attempt);
  return (
    <figure>
      <figcaption>Log{lines[0]!.number > 1 && `, the last ${lines.length} lines`}</figcaption>
      <ol ref={list} className="scroll logs" tabIndex={0} aria-label="Log">
        {lines.map(({ number, at, attempt, dropped, level, text }) => (
          <li key={number} className={level}>
            {dropped > 0 && <i className="hint">{counted(dropped, "line")} dropped </i>}
            <time dateTime={at}>{clock(at)}</time>
            {attempts && <span className="hint">attempt {attempt} </span>}
            {level !== "INFO" && <b>{level} </b>}
            {text}
          </li>
        ))}
      </ol>
    </figure>
  );
}

// What a task prints and logs.
import type { LogLine } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { request } from "./api.ts";
import { clock } from "./format.ts";
import { LOGS } from "./operations.ts";

/** As many as the api keeps. */
const KEPT_LINES = 200;
/** Workers send the lines of a running task about once a second. */
const POLL_MILLISECONDS = 1500;

/** `open`: the task has not ended, so lines may follow. Renders nothing before the first line. */
export function TaskLogs({ taskId, open }: { taskId: string; open: boolean }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const last = useRef(0);
  const list = useRef<HTMLOListElement>(null);

  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      if (document.visibilityState === "visible") {
        try {
          const { task } = await request<{ task: { logs: LogLine[] } | null }>(LOGS, { taskId, after: last.current });
          const fresh = task?.logs ?? [];
          if (!current) return;
          if (fresh.length > 0) {
            last.current = fresh.at(-1)!.number;
            setLines((known) => [...known, ...fresh].slice(-KEPT_LINES));
          }
        } catch {
          // The page's other requests show why; the next one may succeed.
        }
      }
      if (current && open) timer = setTimeout(read, POLL_MILLISECONDS);
    };
    void read();
    return () => {
      current = false;
      clearTimeout(timer);
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
        {lines.map(({ number, at, attempt, level, text }) => (
          <li key={number} className={level}>
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

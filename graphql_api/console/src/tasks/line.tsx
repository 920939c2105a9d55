// One row of the table. It renders again only if what it shows has changed.
import { memo, type ReactNode } from "react";
import { duration, shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { State, stateKey } from "../ui/state.tsx";
import type { Column } from "./columns.ts";
import { detail, ranMilliseconds, type Row } from "./rows.ts";

interface LineProps {
  row: Row;
  index: number;
  columns: readonly Column[];
  chosen: boolean;
  isCursor: boolean;
  /** The time, of a task that has not ended; otherwise 0. */
  now: number;
  full: number;
  menuId: string;
  onChoose(taskId: string, range: boolean): void;
  onMenu(taskId: string): void;
  onFocusRow(taskId: string): void;
}

export const shortId = (taskId: string): string => taskId.slice(0, 8);

export const Line = memo(function Line({ row, index, columns, chosen, isCursor, now, full, menuId, onChoose, onMenu, onFocusRow }: LineProps) {
  const { taskId, name } = row;
  const called = `${name} ${shortId(taskId)}`;
  return (
    <tr
      role="row" data-id={taskId} aria-rowindex={index + 2} aria-selected={chosen || undefined} className={`${isCursor ? "cursor" : ""}${row.left ? " gone" : ""}` || undefined}
      onFocus={() => onFocusRow(taskId)}
    >
      <td role="cell" className="c-check">
        <label className="check">
          <input type="checkbox" aria-label={`Select ${called}`} checked={chosen} onChange={(event) => onChoose(taskId, (event.nativeEvent as MouseEvent).shiftKey === true)} />
        </label>
      </td>
      {columns.map((column) => (
        <td key={column.key} role="cell" className={`${column.cell}${column.number ? " num" : ""}`} title={titleOf(column.key, row, now)}>
          {CELLS[column.key](row, now, full, called)}
        </td>
      ))}
      <td role="cell" className="c-more">
        <button type="button" className="btn icon quiet slim" aria-label={`More for ${called}`} title="More" popoverTarget={menuId} onClick={() => onMenu(taskId)}>
          <Icon name="more" />
        </button>
      </td>
    </tr>
  );
});

const waitedText = (row: Row, now: number): string => duration((row.startedAt ? Date.parse(row.startedAt) : row.finishedAt ? Date.parse(row.finishedAt) : now) - row.submitted);

const CELLS: Record<Column["key"], (row: Row, now: number, full: number, called: string) => ReactNode> = {
  state: (row, now) => {
    const text = detail(row, row.state === "QUEUED" ? waitedText(row, now) : "");
    return <span className="st"><State state={row.state} progress={row.progress} />{text && <span className="detail">{text}</span>}</span>;
  },
  type: ({ taskId, name }, _now, _full, called) => <a className="strongname" href={`#/tasks/${taskId}`} aria-label={called}>{name}</a>,
  input: ({ inputText }) => <code>{inputText}</code>,
  tags: ({ tags }) => <span className="tags">{tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}</span>,
  by: ({ submittedBy }) => submittedBy,
  submitted: ({ submittedAt }) => <time dateTime={submittedAt}>{shortTime(submittedAt)}</time>,
  duration: (row, now, full) => {
    const ran = ranMilliseconds(row, now);
    const share = ran === undefined || full <= 0 ? 0 : Math.min(1, ran / full);
    return (
      <div className={`dur s-${stateKey(row.state)}`}>
        <span className="track" aria-hidden="true">
          {share > 0 && <i style={{ width: `${Math.max(2, share * 100)}%` }} />}
          {ran !== undefined && ran > full * 1.001 && <i className="over" />}
        </span>
        <span>{ran === undefined ? "–" : duration(ran)}</span>
      </div>
    );
  },
  tries: ({ attempt, startedAt }) => (startedAt ? attempt : ""),
  worker: ({ worker }) => worker?.replace(/^worker-/, ""),
};

function titleOf(key: Column["key"], row: Row, now: number): string | undefined {
  switch (key) {
    case "state":
      return row.error ? `${row.error.code}: ${row.error.message}`.slice(0, 300) : row.message ?? undefined;
    case "input":
      return row.inputText;
    case "tags":
      return row.tags.join(", ") || undefined;
    case "submitted":
      return wholeTime(row.submittedAt);
    case "duration":
      return `Waited ${waitedText(row, now)}${row.startedAt ? `, ran ${duration(ranMilliseconds(row, now) ?? 0)}` : ""}`;
    case "worker":
      return row.worker ?? undefined;
    case "by":
      return row.submissions > 1 ? `Submitted ${row.submissions} times` : undefined;
    default:
      return undefined;
  }
}

// The table: real table semantics, whose rows are in the document only near what is in sight.
import { type PointerEvent, type RefObject, useEffect, useImperativeHandle, useRef } from "react";
import { go } from "../app/route.ts";
import { Icon } from "../ui/icon.tsx";
import { type Column, sortedHere } from "./columns.ts";
import { addressOf, type Filters, NEWEST, OLDEST } from "./filters.ts";
import { Line } from "./line.tsx";
import type { Row } from "./rows.ts";
import { useVirtualRows } from "./virtual-rows.ts";

interface TableProps {
  rows: readonly Row[];
  body: RefObject<HTMLTableSectionElement | null>;
  /** For the cursor's keys. */
  handle: RefObject<TableHandle | null>;
  density: string;
  /** The index of the cursor's row; -1: there is none. */
  cursorAt: number;
  /** Called when the rows in the document come near the end of what is loaded. */
  onEnd(): void;
  columns: readonly Column[];
  filters: Filters;
  /** -1: not known. */
  total: number;
  now: number;
  isChosen(taskId: string): boolean;
  allChosen: boolean;
  someChosen: boolean;
  cursor: string | undefined;
  /** What a full bar means, in milliseconds. */
  scale(name: string): number;
  menuId: string;
  onChoose(taskId: string, range: boolean): void;
  onChooseAll(): void;
  onMenu(taskId: string): void;
  onFocusRow(taskId: string): void;
}

export interface TableHandle {
  reveal(index: number): void;
  /** The first row in the document. */
  first: number;
}

/** Rows below what is in the document when the next page is read. */
const AHEAD = 40;

/** Scrolling renders this and no other part of the page. */
export function TaskTable(props: TableProps) {
  const { rows, body, handle, density, cursorAt, onEnd, columns, filters, total, now, isChosen, allChosen, someChosen, cursor, scale, menuId, onChoose, onChooseAll, onMenu, onFocusRow } = props;
  const all = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (all.current) all.current.indeterminate = someChosen && !allChosen;
  }, [someChosen, allChosen]);
  const press = useLongPress(onChoose);
  const virtual = useVirtualRows(rows.length, body, cursorAt, density);
  useImperativeHandle(handle, () => ({ reveal: virtual.reveal, first: virtual.slots[0]?.index ?? 0 }));
  const isNear = virtual.end >= rows.length - AHEAD;
  useEffect(() => {
    if (isNear) onEnd();
  }, [isNear, onEnd]);
  const width = columns.length + 2;
  return (
    <table
      className={`tasklist${someChosen ? " choosing" : ""}${columns.some(({ key }) => key === "input") ? "" : " no-input"}`} role="table" aria-rowcount={total < 0 ? -1 : total + 1}
      aria-label={sortedHere(filters.sort) ? `Tasks by ${sortedHere(filters.sort)!.title.toLowerCase()}` : filters.sort === OLDEST ? "Tasks, oldest first" : "Tasks, newest first"}
    >
      <thead role="rowgroup">
        <tr role="row" aria-rowindex={1}>
          <th role="columnheader" className="c-check">
            <label className="check"><input ref={all} type="checkbox" aria-label="Select all shown" checked={allChosen} onChange={onChooseAll} /></label>
          </th>
          {columns.map((column) => <Head key={column.key} column={column} filters={filters} />)}
          <th role="columnheader" className="c-more"><span className="visually-hidden">Actions</span></th>
        </tr>
      </thead>
      <tbody ref={body} role="rowgroup" {...press}>
        {/* Flat: in arrays of arrays a row's key would change as the window moves, and each row be made anew. */}
        {virtual.slots.flatMap(({ index, gap }) => {
          const row = rows[index];
          return !row ? [] : [
            gap > 0 && <Spacer key={`gap ${index}`} height={gap * virtual.rowHeight} width={width} />,
            <Line
              key={row.taskId} row={row} index={index} columns={columns} chosen={isChosen(row.taskId)} isCursor={row.taskId === cursor}
              now={row.finishedAt ? 0 : now} full={scale(row.name)} menuId={menuId} onChoose={onChoose} onMenu={onMenu} onFocusRow={onFocusRow}
            />,
          ];
        })}
        {virtual.gapAfter > 0 && <Spacer height={virtual.gapAfter * virtual.rowHeight} width={width} />}
      </tbody>
    </table>
  );
}

/** In place of the rows that are not in the document. */
const Spacer = ({ height, width }: { height: number; width: number }) => (
  <tr aria-hidden="true" className="spacer" style={{ height }}><td colSpan={width} /></tr>
);

function Head({ column: { key, title, cell, number, value }, filters }: { column: Column; filters: Filters }) {
  const name = key === "submitted" ? OLDEST : key;
  const isSorted = filters.sort.replace(/^-/, "") === name;
  const descending = filters.sort.startsWith("-");
  // Numbers begin with the largest, words with A; a third click goes back to the newest first.
  const [first, second] = key === "submitted" || key === "duration" || key === "tries" ? [`-${name}`, name] : [name, `-${name}`];
  const next = filters.sort === first ? second : filters.sort === second ? NEWEST : first;
  const sortable = value !== undefined || key === "submitted";
  return (
    <th role="columnheader" scope="col" className={`${cell}${number ? " num" : ""}`} aria-sort={isSorted ? (descending ? "descending" : "ascending") : undefined}>
      {sortable ? (
        <button
          type="button" className="sort" onClick={() => go(addressOf({ ...filters, sort: next }))}
          title={key === "submitted" ? "Newest or oldest first, of all tasks" : "Sorts the tasks that are loaded"}
        >
          {title}
          <Icon name="sortdown" />
        </button>
      ) : title}
    </th>
  );
}

const LONG_PRESS_MILLISECONDS = 450;

/** On a phone a long press selects a task; while tasks are selected a tap does. */
function useLongPress(onChoose: (taskId: string, range: boolean) => void) {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const pressed = useRef(false);
  const idOf = (target: EventTarget) => (target as Element).closest<HTMLElement>("tr[data-id]")?.dataset["id"];
  const end = () => clearTimeout(timer.current);
  return {
    onPointerDown: (event: PointerEvent) => {
      end();
      pressed.current = false;
      const taskId = event.pointerType === "touch" ? idOf(event.target) : undefined;
      if (!taskId) return;
      timer.current = setTimeout(() => {
        pressed.current = true;
        onChoose(taskId, false);
        navigator.vibrate?.(10);
      }, LONG_PRESS_MILLISECONDS);
    },
    onPointerUp: end, onPointerCancel: end, onPointerLeave: end,
    onPointerMove: (event: PointerEvent) => Math.abs(event.movementX) + Math.abs(event.movementY) > 4 && end(),
    onContextMenu: (event: React.MouseEvent) => pressed.current && event.preventDefault(),
    onClickCapture: (event: React.MouseEvent<HTMLElement>) => {
      const touches = (event.nativeEvent as globalThis.PointerEvent).pointerType === "touch";
      const taskId = idOf(event.target);
      if (!touches || !taskId || (event.target as Element).closest(".c-more")) return;
      const choosing = event.currentTarget.closest(".choosing") !== null;
      if (pressed.current || choosing) {
        event.preventDefault();
        event.stopPropagation();
        if (!pressed.current) onChoose(taskId, false);
        pressed.current = false;
      }
    },
  };
}

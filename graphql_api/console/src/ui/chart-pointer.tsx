// The hand on a chart: the cursor with the values below it, and a period that is marked.
import { type KeyboardEvent, type PointerEvent, useState } from "react";
import type { Series } from "./chart.tsx";
import { nearest, trend } from "./chart-scale.ts";
import { moveCursor, useCursor } from "./cursor.ts";

interface PointerProps {
  title: string;
  summary: string | undefined;
  times: number[];
  series: Series[];
  from: number;
  to: number;
  group: string;
  onPeriod: ((from: number, to: number) => void) | undefined;
  text: (x: number, whole?: boolean) => string;
  format: (value: number) => string;
}

/** A shorter drag is a click. */
const LEAST_DRAG_PIXELS = 8;

export function Pointer({ title, summary, times, series, from, to, group, onPeriod, text, format }: PointerProps) {
  const cursor = useCursor(group);
  /** Where a mark began, and where it is now. */
  const [mark, setMark] = useState<[start: number, end: number]>();
  const index = cursor === undefined ? undefined : nearest(times, cursor);
  const x = index === undefined ? undefined : times[index];
  const left = (at: number) => Math.min(100, Math.max(0, ((at - from) / (to - from || 1)) * 100));
  const under = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return from + (Math.min(box.width, Math.max(0, event.clientX - box.left)) / box.width) * (to - from);
  };
  const said = (place: number) => series.map(({ name, values }) => `${name} ${values[place] == null ? "–" : format(values[place])}`).join(" · ");

  const label = summary
    ? `${title}: ${summary}`
    : `${title}, ${text(from)} to ${text(to)}: ${series.map(({ name, values }) => trend(name, times, values, format, text)).join("; ")}`;

  const settle = () => {
    if (mark && onPeriod && mark[0] !== mark[1]) onPeriod(Math.min(...mark), Math.max(...mark));
    setMark(undefined);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const now = index ?? times.length - 1;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: times.length - 1 }[event.key];
    if (next !== undefined) {
      const to = times[Math.min(times.length - 1, Math.max(0, next))]!;
      moveCursor(group, to);
      if (event.shiftKey && onPeriod) setMark([mark?.[0] ?? times[now]!, to]);
      else setMark(undefined);
    } else if (event.key === "Enter" && mark) settle();
    else if (event.key === "Escape" && (mark || cursor !== undefined)) {
      setMark(undefined);
      moveCursor(group, undefined);
    } else return;
    event.preventDefault();
  };

  return (
    <>
      {mark && <i className="mark" style={{ left: `${left(Math.min(...mark))}%`, right: `${100 - left(Math.max(...mark))}%` }} />}
      {x !== undefined && index !== undefined && (
        <>
          <i className="cursor" style={{ left: `${left(x)}%` }} />
          <div className="tip" aria-hidden="true" style={left(x) > 50 ? { right: `${101 - left(x)}%` } : { left: `${left(x) + 1}%` }}>
            <b>{text(x, true)}</b>
            <br />
            {said(index)}
          </div>
        </>
      )}
      <div
        className="hand" role="slider" tabIndex={0} aria-label={label}
        aria-valuemin={0} aria-valuemax={Math.max(0, times.length - 1)} aria-valuenow={index ?? times.length - 1}
        aria-valuetext={index === undefined ? "Newest" : `${text(x!, true)}: ${said(index)}`}
        onKeyDown={onKeyDown}
        onBlur={() => moveCursor(group, undefined)}
        onPointerDown={(event) => {
          if (event.button !== 0 || event.pointerType === "touch" || !onPeriod) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setMark([under(event), under(event)]);
        }}
        onPointerMove={(event) => {
          moveCursor(group, under(event));
          if (mark && event.buttons === 1) setMark([mark[0], under(event)]);
        }}
        onPointerUp={(event) => {
          const pixels = mark ? (Math.abs(mark[1] - mark[0]) / (to - from || 1)) * event.currentTarget.clientWidth : 0;
          if (pixels < LEAST_DRAG_PIXELS) setMark(undefined);
          else settle();
        }}
        onPointerLeave={() => moveCursor(group, undefined)}
      />
    </>
  );
}

// Which rows of a long table are in the document: those in sight, some beyond each edge, and the one that has the focus.
import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from "react";

/** Rows beyond each edge of the window. */
const BEYOND = 12;
/** The window moves in steps, so that most scroll events change nothing. */
const STEP = 6;

export interface Slot {
  index: number;
  /** Rows that are left out before this one. */
  gap: number;
}

export interface VirtualRows {
  slots: Slot[];
  /** Rows that are left out at the end. */
  gapAfter: number;
  rowHeight: number;
  /** The last row that is in the document. */
  end: number;
  /** Scrolls as little as brings a row into sight, between the bar above and what floats below. */
  reveal(index: number): void;
}

/** What covers the page: the bar and the table's head above, the bulk bar below. */
const COVERED_ABOVE = 84;
const COVERED_BELOW = 96;

/**
 * @param body the table's body; its rows have one fixed height.
 * @param kept a row that stays in the document wherever it is.
 * @param density the height of rows follows it, and the width of the window.
 */
export function useVirtualRows(count: number, body: RefObject<HTMLElement | null>, kept: number, density: string): VirtualRows {
  const [rowHeight, setRowHeight] = useState(36);
  const [range, setRange] = useState<readonly [number, number]>([0, 40]);
  const measured = useRef({ rowHeight, count });
  measured.current = { rowHeight, count };

  const place = useCallback(() => {
    if (!body.current) return;
    const top = body.current.getBoundingClientRect().top;
    const { rowHeight, count } = measured.current;
    const first = Math.floor(-top / rowHeight);
    const last = Math.ceil((innerHeight - top) / rowHeight);
    const start = Math.max(0, Math.min(count, Math.floor((first - BEYOND) / STEP) * STEP));
    const end = Math.max(start, Math.min(count, Math.ceil((last + BEYOND) / STEP) * STEP));
    setRange((now) => (now[0] === start && now[1] === end ? now : [start, end]));
  }, [body]);

  useLayoutEffect(() => {
    let frame = 0;
    const later = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        place();
      });
    };
    addEventListener("scroll", later, { passive: true });
    return () => {
      removeEventListener("scroll", later);
      cancelAnimationFrame(frame);
    };
  }, [place]);

  // Measured only when it may be another one: measuring makes the browser lay out the page at once.
  useLayoutEffect(() => {
    const measure = () => {
      const height = body.current?.querySelector("tr[aria-rowindex]")?.getBoundingClientRect().height;
      if (height) setRowHeight(height);
      place();
    };
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, [place, count > 0, density]);
  useLayoutEffect(place, [place, count, rowHeight]);

  const reveal = useCallback((index: number) => {
    if (!body.current) return;
    const { rowHeight } = measured.current;
    const top = body.current.getBoundingClientRect().top + index * rowHeight;
    const above = top - COVERED_ABOVE;
    const below = top + rowHeight - (innerHeight - COVERED_BELOW);
    if (above < 0) scrollBy({ top: above });
    else if (below > 0) scrollBy({ top: below });
    place();
  }, [body, place]);

  const [start, end] = [Math.min(range[0], count), Math.min(range[1], count)];
  const indices = Array.from({ length: end - start }, (_, offset) => start + offset);
  if (kept >= 0 && kept < start) indices.unshift(kept);
  if (kept >= end && kept < count) indices.push(kept);
  const slots = indices.map((index, position) => ({ index, gap: index - (position > 0 ? indices[position - 1]! + 1 : 0) }));
  return { slots, gapAfter: count - ((indices.at(-1) ?? -1) + 1), rowHeight, end, reveal };
}

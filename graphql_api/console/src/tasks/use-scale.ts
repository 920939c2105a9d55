// What a full bar of the run time means.
import { useCallback, useMemo } from "react";
import { ranMilliseconds, type Row } from "./rows.ts";

export interface Scale {
  /** In milliseconds. */
  of(name: string): number;
  words: string;
}

/** The longest run of each type among the tasks that are loaded and have ended. */
export function useScale(rows: readonly Row[]): Scale {
  const longest = useMemo(() => {
    const found = new Map<string, number>();
    for (const row of rows) {
      if (row.finishedAt) found.set(row.name, Math.max(found.get(row.name) ?? 0, ranMilliseconds(row, 0) ?? 0));
    }
    return found;
  }, [rows]);
  const of = useCallback((name: string) => longest.get(name) ?? Number.POSITIVE_INFINITY, [longest]);
  return { of, words: "the longest run of this type among the tasks loaded" };
}

// What a full bar of the run time means: the 95th percentile of the task type's last day, where there is one.
import { useCallback, useEffect, useMemo, useState } from "react";
import { request } from "../api/client.ts";
import { SCALES, type Scales } from "./operations.ts";
import { ranMilliseconds, type Row } from "./rows.ts";

export interface Scale {
  /** In milliseconds. */
  of(name: string): number;
  words: string;
}

export function useScale(rows: readonly Row[]): Scale {
  const [usual, setUsual] = useState<ReadonlyMap<string, number>>(new Map());
  useEffect(() => {
    let current = true;
    request<Scales>(SCALES).then(
      ({ taskTypes }) => {
        const known = (taskTypes ?? []).flatMap(({ name, stats }): [string, number][] => (stats?.runP95 ? [[name, stats.runP95 * 1000]] : []));
        if (current) setUsual(new Map(known));
      },
      () => undefined, // the longest run has to do
    );
    return () => {
      current = false;
    };
  }, []);

  const longest = useMemo(() => {
    const found = new Map<string, number>();
    for (const row of rows) {
      if (row.finishedAt) found.set(row.name, Math.max(found.get(row.name) ?? 0, ranMilliseconds(row, 0) ?? 0));
    }
    return found;
  }, [rows]);
  const of = useCallback((name: string) => usual.get(name) ?? longest.get(name) ?? Number.POSITIVE_INFINITY, [usual, longest]);
  return { of, words: usual.size > 0 ? "as long as 95 % of runs of this type · amber end = longer" : "the longest run of this type among the tasks loaded" };
}

// How long a task of a type usually runs, by its runs of the last day.
import { useEffect, useState } from "react";
import { request } from "../api/client.ts";

export const USUAL = `query Usual($names: [String!]) { taskTypes(names: $names) { stats { runs runP50 } } }`;

/** Fewer runs say little. */
const LEAST_RUNS = 3;

/** The median run time in milliseconds; undefined until it is known, and where too few tasks ran. */
export function useUsual(name: string | undefined): number | undefined {
  const [usual, setUsual] = useState<number>();
  useEffect(() => {
    if (!name) return;
    let current = true;
    request<{ taskTypes: { stats: { runs: number; runP50: number | null } | null }[] | null }>(USUAL, { names: [name] }).then(
      ({ taskTypes }) => {
        const stats = taskTypes?.[0]?.stats;
        if (current && stats && stats.runs >= LEAST_RUNS && stats.runP50 !== null) setUsual(stats.runP50 * 1000);
      },
      () => undefined, // a figure beside others
    );
    return () => {
      current = false;
    };
  }, [name]);
  return usual;
}

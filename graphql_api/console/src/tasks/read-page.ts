// A page of the list of tasks; of tasks with long inputs, fewer at a time.
import type { TaskFilter } from "@dask-graphql/client";
import { refusal, request } from "../api/client.ts";
import { LIST, type ListPage } from "./operations.ts";

interface Wanted {
  /** Tasks at most. */
  first: number;
  after: string | null;
  where: TaskFilter;
  orderBy?: "NEWEST_FIRST" | "OLDEST_FIRST";
}

/** Returns a function that reads pages, and remembers how many tasks fit into an answer. @throws what `request` throws */
export function pageReader(): (wanted: Wanted) => Promise<ListPage["tasks"]> {
  let most = Number.POSITIVE_INFINITY;
  return async ({ first, ...wanted }) => {
    for (;;) {
      const size = Math.min(first, most);
      try {
        return (await request<ListPage>(LIST, { ...wanted, first: size })).tasks;
      } catch (reason) {
        if (refusal(reason).code !== "ANSWER_TOO_LARGE" || size === 1) throw reason;
        most = Math.ceil(size / 4);
      }
    }
  };
}

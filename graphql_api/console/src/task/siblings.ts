// What tells the children of a task from one another.
import { inputText } from "../tasks/rows.ts";
import type { Relative } from "./operations.ts";

export const calledBy = ({ name, taskId }: Relative): string => `${name} ${taskId.slice(0, 8)}`;

type Sibling = Pick<Relative, "taskId" | "name" | "input">;

/** A text for each task, by its id: the arguments in which it differs from others of its type, all of them if it is the only one, its id if it has none. */
export function inputTexts(tasks: readonly Sibling[]): Map<string, string> {
  const values = new Map<string, Set<string>>();
  for (const { name, input } of tasks) {
    for (const [key, value] of entries(input)) {
      const place = `${name} ${key}`;
      values.set(place, (values.get(place) ?? new Set()).add(JSON.stringify(value)));
    }
  }
  return new Map(
    tasks.map(({ taskId, name, input }) => {
      const differing = entries(input).filter(([key]) => values.get(`${name} ${key}`)!.size > 1);
      return [taskId, inputText(differing.length > 0 ? Object.fromEntries(differing) : input, []) || taskId.slice(0, 8)];
    }),
  );
}

const entries = (input: unknown): [string, unknown][] => (typeof input === "object" && input !== null && !Array.isArray(input) ? Object.entries(input) : []);

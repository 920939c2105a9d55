// Reading what a result does not contain as a whole: pages of tables and streams, slices of arrays.
import { createContext, useContext, useEffect, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";

/** A slider that is moved asks for many slices: only the one that it stays at is read. */
const PAUSE_MILLISECONDS = 100;

/** Field names, and the indexes of items in lists. */
export type Path = (string | number)[];

/** The result that the components below belong to; undefined for one that cannot be read again, such as a partial one. */
export const ResultContext = createContext<{ taskId: string; outputType: string } | undefined>(undefined);

export interface Reading<Data> {
  /** What was read last; it stays while the next is read. */
  data: Data | undefined;
  reason: Refusal | undefined;
  busy: boolean;
}

/** Reads `fields` of the object at `path` in the result, again whenever one of them changes; nothing without fields. */
export function useResult<Data>(path: Path, fields: string | undefined): Reading<Data> {
  const context = useContext(ResultContext);
  const [reading, setReading] = useState<Reading<Data>>({ data: undefined, reason: undefined, busy: true });
  const query = context && fields && queryOf(context.outputType, path, fields);
  const taskId = context?.taskId;
  const place = path.join(" ");
  useEffect(() => {
    if (!query) return;
    let current = true;
    setReading((last) => ({ ...last, busy: true }));
    const read = () =>
      request<{ task: { result: unknown } | null }>(query, { taskId }).then(
        ({ task }) => {
          const data = path.reduce<unknown>((value, step) => (value as Record<string | number, unknown> | null)?.[step], task?.result);
          if (!current) return;
          if (data) setReading({ data: data as Data, reason: undefined, busy: false });
          else setReading({ data: undefined, reason: { message: "The result has expired.", code: undefined }, busy: false });
        },
        (why: unknown) => current && setReading(({ data }) => ({ data, reason: refusal(why), busy: false })),
      );
    const timer = setTimeout(read, reading.data ? PAUSE_MILLISECONDS : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [query, taskId, place]);
  return reading;
}

function queryOf(outputType: string, path: Path, fields: string): string {
  const selection = path.filter((step) => typeof step === "string").reduceRight((inner, name) => `${name} { ${inner} }`, fields);
  return `query Read($taskId: ID!) { task(taskId: $taskId) { result { ... on ${outputType} { ${selection} } } } }`;
}

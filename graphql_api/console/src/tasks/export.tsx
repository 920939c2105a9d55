// Saves tasks as CSV or JSON: read in pages, so that a browser has no more than one of them and the file in memory.
import type { TaskFilter } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { refusal } from "../api/client.ts";
import { count } from "../ui/format.ts";
import { Dialog } from "../ui/overlay.tsx";
import { saveText } from "../ui/save.ts";
import { toast } from "../ui/toasts.tsx";
import { type Selection, wheresOf } from "./bulk.ts";
import type { ListPage, WireRow } from "./operations.ts";
import { pageReader } from "./read-page.ts";

/** Tasks in a file at most. */
const MOST_EXPORTED = 10_000;
/** Characters in a file at most: inputs may be long, and the file is made in the memory of the browser. */
const MOST_CHARACTERS = 100_000_000;
const PAGE = 100;

export type Format = "CSV" | "JSON";

const FIELDS: [name: string, value: (row: WireRow) => unknown][] = [
  ["taskId", (row) => row.taskId], ["name", (row) => row.name], ["state", (row) => row.state], ["input", (row) => row.input],
  ["tags", (row) => row.tags], ["submittedBy", (row) => row.submittedBy], ["submittedAt", (row) => row.submittedAt],
  ["startedAt", (row) => row.startedAt], ["finishedAt", (row) => row.finishedAt], ["attempt", (row) => row.attempt],
  ["worker", (row) => row.worker], ["errorCode", (row) => row.error?.code ?? null], ["errorMessage", (row) => row.error?.message ?? null],
];

/** RFC 4180. A text that a spreadsheet would take for a formula gets a quote in front (OWASP, CSV injection). */
function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : Array.isArray(value) ? value.join(" ") : JSON.stringify(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const lineOf = (row: WireRow, format: Format): string =>
  format === "CSV" ? FIELDS.map(([, value]) => csvCell(value(row))).join(",") : JSON.stringify(Object.fromEntries(FIELDS.map(([name, value]) => [name, value(row)])));

async function* pages(wheres: TaskFilter[]): AsyncGenerator<WireRow[]> {
  const read = pageReader();
  for (const where of wheres) {
    let after: string | null = null;
    do {
      const tasks: ListPage["tasks"] = await read({ first: PAGE, after, where });
      yield tasks.nodes;
      after = tasks.pageInfo.hasNextPage ? tasks.pageInfo.endCursor : null;
    } while (after);
  }
}

function save(parts: string[], format: Format): void {
  const [start, separator, end, media]: [string, string, string, string] = format === "CSV" ? [`${FIELDS.map(([name]) => name).join(",")}\r\n`, "\r\n", "\r\n", "text/csv"] : ["[\n", ",\n", "\n]\n", "application/json"];
  const file = `tasks-${new Date().toISOString().slice(0, 16).replace(/[-:]/g, "")}.${format.toLowerCase()}`;
  saveText([start, ...parts.flatMap((part, at) => (at > 0 ? [separator, part] : [part])), end], file, media);
}

/** Shows how far the export is, and lets a person stop it. */
export function Export({ selection, format, onEnd }: { selection: Selection; format: Format; onEnd(): void }) {
  const [done, setDone] = useState(0);
  useEffect(() => {
    let stopped = false;
    const read = async () => {
      const parts: string[] = [];
      let number = 0;
      let characters = 0;
      let cut = false;
      const separator = format === "CSV" ? "\r\n" : ",\n";
      for await (const rows of pages(wheresOf(selection))) {
        if (stopped) return;
        const fitting = rows.slice(0, MOST_EXPORTED - number);
        const part = fitting.map((row) => lineOf(row, format)).join(separator);
        if (fitting.length > 0) parts.push(part);
        characters += part.length;
        number += fitting.length;
        setDone(number);
        cut = fitting.length < rows.length || characters > MOST_CHARACTERS;
        if (cut) break;
      }
      save(parts, format);
      toast({ kind: cut ? "warning" : "succeeded", text: cut ? `The newest ${count(number)} tasks were saved: a file has no more. Narrow the filter for the others` : `${count(number)} tasks were saved as ${format}` });
      onEnd();
    };
    read().catch((reason: unknown) => {
      if (stopped) return;
      toast({ kind: "failed", text: `The tasks could not be saved: ${refusal(reason).message}` });
      onEnd();
    });
    return () => {
      stopped = true;
    };
  }, []);
  return (
    <Dialog title={`Save as ${format}`} onClose={onEnd} actions={<button type="button" className="btn" onClick={onEnd}>Stop</button>}>
      <p role="status">{count(done)} tasks read; a file has at most {count(MOST_EXPORTED)}.</p>
      <progress aria-label="Tasks read" />
    </Dialog>
  );
}

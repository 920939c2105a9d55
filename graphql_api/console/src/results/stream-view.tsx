// A stream: its items as they come while the task runs, and in pages once it has succeeded.
import { useEffect, useState } from "react";
import { type Refusal, subscribe } from "../api/client.ts";
import { count as inFigures, counted } from "../ui/format.ts";
import { itemsOf } from "../api/operations.ts";
import { Pager } from "../ui/pager.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { ResultContext, useResult } from "./read-result.ts";
import { Value } from "./result.tsx";
import type { Stream, TaskType } from "../api/task-types.ts";

const PAGE_ITEMS = 50;
/** The newest ones, of a stream that runs. */
const LIVE_ITEMS = 50;
/** Items may come by the thousand in a second: they are shown together. */
const SHOW_MILLISECONDS = 200;

interface StreamProps {
  type: TaskType;
  stream: Stream;
}

export function StreamPages({ type, stream, count }: StreamProps & { count: number }) {
  const [after, setAfter] = useState(0);
  // The field `items` has the item itself, which `stream.selection` wraps if it is no object.
  const selection = stream.wrapsValue ? stream.selection.replace(/^__typename value/, "") : `{ ${stream.selection} }`;
  const { data, reason, busy } = useResult<{ items: unknown[] }>([], `items(after: ${after}, first: ${PAGE_ITEMS}) ${selection}`);
  return (
    <div className="data" aria-busy={busy}>
      {reason && <RefusalView reason={reason} />}
      {data && <Items items={data.items} {...{ type, stream }} />}
      <Pager what="items" offset={after} size={PAGE_ITEMS} total={count} onMove={setAfter} />
    </div>
  );
}

interface Came {
  attempt: number;
  /** The number of the newest item. */
  count: number;
  items: unknown[];
}

const NOTHING: Came = { attempt: 0, count: 0, items: [] };

interface TaskItem {
  cursor: string;
  attempt: number;
  number: number;
  typed: Record<string, unknown> | null;
}

/** The newest items of a task that runs. */
export function LiveItems({ taskId, type, stream }: StreamProps & { taskId: string }) {
  const [shown, setShown] = useState(NOTHING);
  const [reason, setReason] = useState<Refusal>();
  useEffect(() => {
    let came = NOTHING;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      setShown(came);
    };
    let after: string | null = null;
    const end = subscribe<{ taskItems: TaskItem }>(itemsOf(stream), () => ({ taskId, after }), {
      error: setReason,
      next: ({ taskItems: { cursor, attempt, number, typed } }) => {
        after = cursor;
        // Another attempt begins anew.
        const item = stream.wrapsValue ? typed?.["value"] : typed;
        const before = attempt === came.attempt ? came.items : [];
        came = { attempt, count: number, items: [...before, item].slice(-LIVE_ITEMS) };
        timer ??= setTimeout(show, SHOW_MILLISECONDS);
      },
    });
    return () => {
      end();
      clearTimeout(timer);
    };
  }, [taskId, stream.itemType]);

  if (reason) return <RefusalView reason={reason} />;
  if (shown.count === 0) return null;
  return (
    <section className="card resultcard" aria-label="Items so far">
      <header>
        <h2>Items so far</h2>
        <span className="muted small">{counted(shown.count, "item")} so far{shown.count > shown.items.length && `; the newest ${inFigures(shown.items.length)} are shown`}</span>
      </header>
      <div className="body result"><Items items={shown.items} {...{ type, stream }} /></div>
    </section>
  );
}

/** Items are read by their number, so the tables within them cannot be read by their path. */
function Items({ items, type, stream }: StreamProps & { items: unknown[] }) {
  const itemType = stream.wrapsValue
    ? (type.types.find(({ name }) => name === stream.itemType)?.fields[0]?.graphqlType ?? "JSON")
    : `${stream.itemType}!`;
  return (
    <ResultContext value={undefined}>
      <Value value={items} graphqlType={`[${itemType}]!`} types={type.types} name={`${type.name}-items`} path={[]} />
    </ResultContext>
  );
}

// The life of a task as a bar of its phases, and as a list of its events.
import { isFinal, type TaskEvent } from "@dask-graphql/client";
import { clock, counted, duration } from "../ui/format.ts";

export interface Span {
  kind: "waits" | "runs";
  attempt: number;
  from: number;
  to: number;
}

const ENDS_A_RUN = ["RETRY", "LOST", "SUCCEEDED", "FAILED", "CANCELLED"];

/** The phases of waiting and running; the last one of an open task ends now. */
export function spansOf(events: TaskEvent[], now: number): Span[] {
  const spans: Span[] = [];
  let kind: Span["kind"] | undefined;
  let from = 0;
  let attempt = 1;
  const close = (to: number) => {
    if (kind) spans.push({ kind, attempt, from, to: Math.max(from, to) });
    kind = undefined;
  };
  for (const event of events) {
    const at = Date.parse(event.at);
    if (event.kind === "QUEUED" || event.kind === "STARTED" || ENDS_A_RUN.includes(event.kind)) close(at);
    if (event.kind === "STARTED") [kind, from, attempt] = ["runs", at, event.attempt];
    else if (event.state === "QUEUED") [kind, from, attempt] = ["waits", at, event.attempt];
  }
  close(Math.max(now, from));
  return spans;
}

const spanText = ({ kind, attempt, from, to }: Span): string =>
  `${kind === "waits" ? "waited" : `attempt ${attempt} ran`} ${duration(to - from)}`;

/** What an event means, for users who do not know the states. */
function meaning({ kind, attempt }: TaskEvent): string {
  switch (kind) {
    case "QUEUED": return "accepted, waiting for a worker";
    case "STARTED": return attempt > 1 ? `attempt ${attempt} started on a worker` : "started on a worker";
    case "RETRY": return "failed, another attempt follows";
    case "LOST": return "lost with its worker or scheduler, another attempt follows";
    case "SUCCEEDED": return "the result is available";
    case "FAILED": return "ended without a result";
    case "CANCELLED": return "was cancelled";
    default: return "";
  }
}

export function Timeline({ events, now }: { events: TaskEvent[]; now: number }) {
  const spans = spansOf(events, now);
  const first = events[0];
  if (!first) return null;
  const open = !isFinal(events.at(-1)?.state);
  const start = Date.parse(first.at);
  const reports = events.filter(({ kind }) => kind === "PROGRESS").length;
  return (
    <section className="timeline" aria-label="Timeline">
      <div className="bar" role="img" aria-label={spans.map(spanText).join(", ")}>
        {spans.map((span, index) => (
          <div
            key={index}
            className={`${span.kind}${open && index === spans.length - 1 ? " open" : ""}`}
            style={{ flexGrow: Math.max(1, span.to - span.from) }}
            title={spanText(span)}
          />
        ))}
      </div>
      <p className="legend hint">
        {spans.map((span, index) => (
          <span key={index} className={span.kind}>
            {spanText(span)}
          </span>
        ))}
      </p>
      <ol className="events">
        {events.filter(({ kind }) => kind !== "PROGRESS").map((event) => (
          <li key={event.seq}>
            <time dateTime={event.at}>{clock(event.at)}</time>
            <span className="hint offset">+{duration(Date.parse(event.at) - start)}</span>
            <span>
              <span className={`state ${event.kind === "STARTED" ? "RUNNING" : event.kind}`}>{event.kind}</span> {meaning(event)}
              {event.message && <span className="hint"> {event.message}</span>}
            </span>
          </li>
        ))}
      </ol>
      {reports > 0 && <p className="hint">and {counted(reports, "progress report")}</p>}
    </section>
  );
}

// When a schedule that is not saved yet would run.
import { useEffect, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { Icon } from "../ui/icon.tsx";
import { SCHEDULE_PREVIEW } from "./operations.ts";
import { type Plan, timingOf } from "./plan.ts";

/** After the last key. */
const PAUSE_MILLISECONDS = 300;

export interface Preview {
  times: string[];
  /** Why it would be refused. */
  reason: Refusal | undefined;
}

/** Asks the api, which knows the rules; undefined until it has answered. */
export function usePreview(plan: Plan): Preview | undefined {
  const [preview, setPreview] = useState<Preview>();
  const timing = JSON.stringify(timingOf(plan));
  useEffect(() => {
    let current = true;
    const ask = () =>
      request<{ schedulePreview: string[] }>(SCHEDULE_PREVIEW, JSON.parse(timing) as Record<string, unknown>).then(
        ({ schedulePreview }) => current && setPreview({ times: schedulePreview, reason: undefined }),
        (why: unknown) => current && setPreview({ times: [], reason: refusal(why) }),
      );
    const timer = setTimeout(ask, PAUSE_MILLISECONDS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [timing]);
  return preview;
}

export function NextRuns({ preview, timeZone }: { preview: Preview | undefined; timeZone: string }) {
  const { times = [], reason } = preview ?? {};
  return (
    <div className="field wide" role="status" aria-label="Next runs">
      <span className="label">Next runs</span>
      {reason && <p className="problem"><Icon name="failed" /><span>{reason.message}</span></p>}
      {times.length > 0 && (
        <ol className="nextruns">
          {times.map((time) => (
            <li key={time}><time dateTime={time}>{inZone(time, timeZone)}</time> <span className="muted small">{own(time, timeZone)}</span></li>
          ))}
        </ol>
      )}
      {!reason && times.length === 0 && <p className="muted small">…</p>}
    </div>
  );
}

const SHAPE: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "shortOffset" };

/** A time in the zone of the schedule, with its offset: it differs in summer. */
function inZone(time: string, timeZone: string): string {
  try {
    return new Intl.DateTimeFormat(undefined, { ...SHAPE, timeZone }).format(Date.parse(time));
  } catch {
    return new Intl.DateTimeFormat(undefined, { ...SHAPE, timeZone: "UTC" }).format(Date.parse(time)); // a zone that only the api knows
  }
}

/** The time of the person who looks, if they are in another zone. */
function own(time: string, timeZone: string): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zone === timeZone ? "" : `${new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(Date.parse(time))} where you are`;
}

// Whole numbers of any length, in groups of digits.
import { useEffect, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { ENDS } from "../api/operations.ts";
import { CopyIcon } from "../ui/copy.tsx";
import { count, grouped, inTens } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { saveText } from "../ui/save.ts";

const END_DIGITS = 300;
/** Of a longer number only both ends are shown, as a browser takes seconds to lay out a million digits. */
const SHOWN_DIGITS = 20_000;

export function NumberView({ digits, name }: { digits: string; name: string }) {
  const [all, setAll] = useState(false);
  const length = digits.replace("-", "").length;
  if (length <= 15) return <span className="mono">{grouped(digits)}</span>;
  const short = length > SHOWN_DIGITS && !all;
  return (
    <>
      <div className="digits" tabIndex={0} role="region" aria-label={name}>
        {short ? <Ends head={digits.slice(0, END_DIGITS)} tail={digits.slice(-END_DIGITS)} length={length} /> : grouped(digits)}
      </div>
      <p className="row small muted">
        <span>{count(length)} digits</span>
        {short && <button type="button" className="btn slim soft" onClick={() => setAll(true)}>Show all</button>}
        <CopyIcon text={() => digits} what="all digits" />
        <button type="button" className="btn icon quiet slim" aria-label="Save all digits" title="Save all digits" onClick={() => saveText(digits, `${name}.txt`)}><Icon name="download" /></button>
      </p>
    </>
  );
}

const Ends = ({ head, tail, length }: { head: string; tail: string; length: number }) => (
  <>
    {inTens(head)}
    <span className="gap">… {count(Math.max(0, length - 2 * END_DIGITS))} more digits …</span>
    {inTens(tail)}
  </>
);

/** A Fibonacci number that is too long to inline: both of its ends, read from the blob, which can be downloaded. */
export function LongNumber({ taskId, digits }: { taskId: string; digits: number }) {
  const [ends, setEnds] = useState<{ head: string; tail: string }>();
  const [reason, setReason] = useState<Refusal>();
  useEffect(() => {
    const variables = { taskId, length: END_DIGITS, tail: Math.max(0, digits - END_DIGITS) };
    request<{ task: { result: { head: string; tail: string } | null } | null }>(ENDS, variables).then(
      ({ task }) => setEnds(task?.result ?? undefined),
      (why: unknown) => setReason(refusal(why)),
    );
  }, [taskId, digits]);
  if (reason) return <RefusalView reason={reason} />;
  return (
    <div className="digits" tabIndex={0} role="region" aria-label="value">
      <Ends head={ends?.head ?? ""} tail={ends?.tail ?? ""} length={digits} />
    </div>
  );
}

// What the api starts by itself: when next, and what became of the last times.
import { useState } from "react";
import { refusal, request } from "../api/client.ts";
import { usePoll } from "../api/poll.ts";
import { address, go } from "../app/route.ts";
import { useMay, useOffline } from "../app/session.ts";
import { Banner, Empty, Loading } from "../ui/banner.tsx";
import { shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toasts.tsx";
import { OUTCOME_WORDS, PAUSE, RESUME, RUN, type Schedule, SCHEDULES, timing } from "./operations.ts";

const MILLISECONDS = 10_000;

export function SchedulesPage() {
  const { data, reason, refresh } = usePoll<{ schedules: Schedule[] | null }>(SCHEDULES, {}, MILLISECONDS);
  const schedules = data?.schedules ?? [];
  return (
    <>
      <div className="pagehead"><h1>Schedules</h1></div>
      {reason && <Banner kind="failed" title="The schedules cannot be shown">{reason.message}</Banner>}
      <section className="card" aria-label="Schedules">
        {!data && !reason && <Loading what="the schedules" />}
        {data && schedules.length === 0 && (
          <Empty icon="queued" title="Nothing is scheduled">
            <code>dask-graphql schedules set nightly TASK name=value --cron &quot;30 2 * * *&quot;</code>
          </Empty>
        )}
        {schedules.length > 0 && (
          <div className="tablewrap" tabIndex={0} role="group" aria-label="All schedules">
            <table>
              <thead>
                <tr><th scope="col">Schedule</th><th scope="col" className="desk">When</th><th scope="col">Next</th><th scope="col">Last</th><th scope="col"><span className="visually-hidden">What you can do</span></th></tr>
              </thead>
              <tbody>
                {schedules.map((schedule) => <Row key={schedule.name} schedule={schedule} onChange={refresh} />)}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}

function Row({ schedule, onChange }: { schedule: Schedule; onChange(): void }) {
  const { name, task, pausedAt, nextRuns, runs, problem } = schedule;
  const may = useMay("SUBMIT");
  const offline = useOffline();
  const [busy, setBusy] = useState(false);
  const act = async (mutation: string, done: (data: { runSchedule?: { taskId: string } }) => void) => {
    setBusy(true);
    try {
      done(await request(mutation, { name }));
      onChange();
    } catch (why) {
      toast({ kind: "failed", text: refusal(why).message });
    } finally {
      setBusy(false);
    }
  };
  const pause = () => act(pausedAt ? RESUME : PAUSE, () => toast({ kind: pausedAt ? "succeeded" : "cancelled", text: `${name} ${pausedAt ? "goes on" : "is paused"}` }));
  const run = () => act(RUN, ({ runSchedule }) => {
    const open = { label: "Open", run: () => go(address(["tasks", runSchedule!.taskId])) };
    toast({ kind: "succeeded", text: `${task} was started`, ...(runSchedule && { action: open }) });
  });
  const [last] = runs;
  return (
    <tr>
      <td>
        <a className="strong" href={address(["tasks"], { tag: `schedule:${name}` })}>{name}</a>
        <div className="muted small">{task}</div>
      </td>
      <td className="desk"><code>{timing(schedule)}</code></td>
      <td>
        {pausedAt ? <span className="muted" title={wholeTime(pausedAt)}>Paused</span> : nextRuns.length === 0 ? "Never" : <Times times={nextRuns} />}
      </td>
      <td>
        {problem && <div className="s-failed small"><Icon name="warning" /> {problem}</div>}
        {last ? (
          <>
            {last.taskId ? <a href={address(["tasks", last.taskId])}>{OUTCOME_WORDS[last.outcome]}</a> : OUTCOME_WORDS[last.outcome]}
            <div className="muted small"><time dateTime={last.at} title={wholeTime(last.at)}>{shortTime(last.at)}</time></div>
          </>
        ) : !problem && <span className="muted">Not yet</span>}
      </td>
      <td className="num">
        {may && (
          <span className="nowrap">
            <button type="button" className="btn slim" disabled={busy || offline !== undefined} title={offline} onClick={() => void run()} aria-label={`Run now: ${name}`}>Run now</button>{" "}
            <button type="button" className="btn slim" disabled={busy || offline !== undefined} title={offline} onClick={() => void pause()} aria-label={`${pausedAt ? "Resume" : "Pause"} ${name}`}>{pausedAt ? "Resume" : "Pause"}</button>
          </span>
        )}
      </td>
    </tr>
  );
}

/** The first of some times, and the others when the pointer rests on it. */
const Times = ({ times }: { times: string[] }) => (
  <time dateTime={times[0]} title={times.map(wholeTime).join("\n\n")}>{shortTime(times[0]!)}</time>
);

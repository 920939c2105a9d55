// One schedule: its form, what became of its last ticks, and what an operator does with it.
import { useEffect, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { address, go } from "../app/route.ts";
import { useMay, useOffline } from "../app/session.ts";
import { Banner, Loading } from "../ui/banner.tsx";
import { shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Dialog } from "../ui/overlay.tsx";
import { toast } from "../ui/toasts.tsx";
import { DELETE, OUTCOME_WORDS, SCHEDULE, type Schedule } from "./operations.ts";
import { PauseButton, RunButton } from "./schedule-buttons.tsx";
import { ScheduleForm } from "./schedule-form.tsx";

const LIST = address(["schedules"]);

const saved = (name: string): void => {
  toast({ kind: "succeeded", text: `${name} is saved` });
  go(LIST);
};

/** @param task the task type to begin with. */
export function NewSchedulePage({ task }: { task: string }) {
  return (
    <>
      <Crumbs name="New" />
      <div className="pagehead"><h1>New schedule</h1></div>
      <ScheduleForm schedule={undefined} task={task} onSaved={saved} />
    </>
  );
}

export function SchedulePage({ name }: { name: string }) {
  const [schedule, setSchedule] = useState<Schedule>();
  const [reason, setReason] = useState<Refusal>();
  const [asks, setAsks] = useState(false);
  const [version, setVersion] = useState(0);
  const may = useMay("SUBMIT");
  const offline = useOffline();
  useEffect(() => {
    let current = true;
    request<{ schedule: Schedule }>(SCHEDULE, { name }).then(
      (found) => current && setSchedule(found.schedule),
      (why: unknown) => current && setReason(refusal(why)),
    );
    return () => {
      current = false;
    };
  }, [name, version]);
  const again = () => setVersion((last) => last + 1);
  const remove = () =>
    request(DELETE, { name }).then(
      () => {
        toast({ kind: "cancelled", text: `${name} is deleted` });
        go(LIST);
      },
      (why: unknown) => toast({ kind: "failed", text: refusal(why).message }),
    );
  return (
    <>
      <Crumbs name={name} />
      <div className="pagehead">
        <h1 className="anywhere">{name}</h1>
        {schedule?.pausedAt && <span className="state pill s-cancelled" title={wholeTime(schedule.pausedAt)}><Icon name="pause" />Paused</span>}
        {schedule && may && <span className="row end"><RunButton schedule={schedule} onChange={again} /><PauseButton schedule={schedule} onChange={again} /></span>}
      </div>
      {reason && <Banner kind="failed" title="The schedule cannot be shown" actions={<a className="btn" href={LIST}>All schedules</a>}>{reason.message}</Banner>}
      {!schedule && !reason && <Loading what="the schedule" rows={8} />}
      {schedule?.problem && <Banner kind="failed" title="What is due could not be submitted">{schedule.problem}</Banner>}
      {schedule && (
        <div className="cols">
          {may ? (
            <ScheduleForm schedule={schedule} task={schedule.task} onSaved={saved}>
              <button type="button" className="btn danger end" disabled={offline !== undefined} title={offline} onClick={() => setAsks(true)}>Delete</button>
            </ScheduleForm>
          ) : <p className="muted">Your key may look at schedules, and not change them.</p>}
          <aside className="stack"><LastRuns schedule={schedule} /></aside>
        </div>
      )}
      {asks && (
        <Dialog
          title={`Delete ${name}?`} onClose={() => setAsks(false)}
          actions={<>
            <button type="button" className="btn" onClick={() => setAsks(false)}>Keep it</button>
            <button type="button" className="btn primary" onClick={() => void remove()}>Delete the schedule</button>
          </>}
        >
          <p>It submits nothing any more. The tasks that it has submitted stay.</p>
        </Dialog>
      )}
    </>
  );
}

const Crumbs = ({ name }: { name: string }) => (
  <nav className="crumbs" aria-label="Breadcrumb"><a href={LIST}>Schedules</a><Icon name="right" /><span>{name}</span></nav>
);

function LastRuns({ schedule: { name, runs } }: { schedule: Schedule }) {
  return (
    <section className="card" aria-label="Last runs">
      <header><h2>Last runs</h2><a className="end small" href={address(["tasks"], { tag: `schedule:${name}` })}>Its tasks</a></header>
      <div className="body">
        {runs.length === 0 && <p className="muted small">None yet.</p>}
        <ul className="stack small">
          {runs.map(({ at, outcome, taskId }) => (
            <li key={at} className="row">
              <time dateTime={at} title={wholeTime(at)}>{shortTime(at)}</time>
              {taskId ? <a href={address(["tasks", taskId])}>{OUTCOME_WORDS[outcome]}</a> : <span className="muted">{OUTCOME_WORDS[outcome]}</span>}
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

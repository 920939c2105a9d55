// What the api starts by itself: when next, and what became of the last times.
import { usePoll } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { useMay, useSession } from "../app/session.ts";
import { Banner, Empty, Loading } from "../ui/banner.tsx";
import { shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { OUTCOME_WORDS, type Schedule, SCHEDULES, timing } from "./operations.ts";
import { PauseButton, RunButton } from "./schedule-buttons.tsx";
import { NewSchedulePage, SchedulePage } from "./schedule-page.tsx";

const MILLISECONDS = 10_000;
const NEW = address(["schedules"], { new: "task" });

/** @param name of the schedule that the address names; `query` has `new`, the task type of a new one. */
export function SchedulesPage({ name, query }: { name: string | undefined; query: URLSearchParams }) {
  const { taskTypes } = useSession().catalogue;
  const task = query.get("new");
  if (task !== null) return <NewSchedulePage task={taskTypes.some((type) => type.name === task) ? task : (taskTypes[0]?.name ?? "")} />;
  return name === undefined ? <ScheduleList /> : <SchedulePage key={name} name={name} />;
}

function ScheduleList() {
  const may = useMay("SUBMIT");
  const { data, reason, refresh } = usePoll<{ schedules: Schedule[] | null }>(SCHEDULES, {}, MILLISECONDS);
  const schedules = data?.schedules ?? [];
  return (
    <>
      <div className="pagehead">
        <h1>Schedules</h1>
        {may && <a className="btn primary end" href={NEW}><Icon name="plus" />New schedule</a>}
      </div>
      {reason && <Banner kind="failed" title="The schedules cannot be shown">{reason.message}</Banner>}
      <section className="card" aria-label="Schedules">
        {!data && !reason && <Loading what="the schedules" />}
        {data && schedules.length === 0 && (
          <Empty icon="queued" title="Nothing is scheduled" actions={may && <a className="btn" href={NEW}>New schedule</a>}>
            <code>dask-graphql schedules set nightly TASK name=value --cron &quot;30 2 * * *&quot;</code>
          </Empty>
        )}
        {schedules.length > 0 && (
          <div className="tablewrap schedules" tabIndex={0} role="group" aria-label="All schedules">
            <table>
              <thead>
                <tr><th scope="col">Schedule</th><th scope="col" className="desk">When</th><th scope="col">Next</th><th scope="col">Last</th><th scope="col" className="desk"><span className="visually-hidden">What you can do</span></th></tr>
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
  const [last] = runs;
  return (
    <tr>
      <td>
        <a className="strongname" href={address(["schedules", name])}>{name}</a>
        <div className="muted small">{task}</div>
      </td>
      <td className="desk"><code>{timing(schedule)}</code></td>
      <td>
        {pausedAt ? <span className="muted" title={wholeTime(pausedAt)}>Paused</span> : nextRuns.length === 0 ? "Never" : <Times times={nextRuns} />}
      </td>
      <td className="last">
        {problem && <div className="problem"><Icon name="warning" /><span>{problem}</span></div>}
        {last ? (
          <>
            {last.taskId ? <a href={address(["tasks", last.taskId])}>{OUTCOME_WORDS[last.outcome]}</a> : OUTCOME_WORDS[last.outcome]}
            <div className="muted small"><time dateTime={last.at} title={wholeTime(last.at)}>{shortTime(last.at)}</time></div>
          </>
        ) : !problem && <span className="muted">Not yet</span>}
      </td>
      <td className="num desk">
        {may && <span className="nowrap"><RunButton schedule={schedule} onChange={onChange} />{" "}<PauseButton schedule={schedule} onChange={onChange} /></span>}
      </td>
    </tr>
  );
}

/** The first of some times, and the others when the pointer rests on it. */
const Times = ({ times }: { times: string[] }) => (
  <time dateTime={times[0]} title={times.map(wholeTime).join("\n\n")}>{shortTime(times[0]!)}</time>
);

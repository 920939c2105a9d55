// The page of one task: what has become of it, and everything that is known about it.
import { isFinal } from "@dask-graphql/client";
import { useEffect } from "react";
import { useNow } from "../api/poll.ts";
import { address } from "../app/route.ts";
import { useSession } from "../app/session.ts";
import { Empty, Loading } from "../ui/banner.tsx";
import { Icon } from "../ui/icon.tsx";
import { STATE_WORDS } from "../ui/state.tsx";
import { Actions } from "./actions.tsx";
import { Details, InputView, Related } from "./aside.tsx";
import { CopyId } from "../ui/copy.tsx";
import { ErrorSection } from "./error.tsx";
import { FamilyView, useFamily } from "./family.tsx";
import { TaskLogs } from "./logs.tsx";
import { Advance, hasResult, LiveState, Reason, RunResult } from "./parts.tsx";
import { Sections, useSection } from "./sections.tsx";
import { Summary } from "./summary.tsx";
import { Timeline } from "./timeline.tsx";
import { useUsual } from "./usual.ts";
import { type TaskRun, useTask } from "./use-task.ts";

interface PageProps {
  taskId: string;
  /** The part of the page that the address names. */
  section: string | undefined;
  query: URLSearchParams;
}

export function TaskPage({ taskId, section, query }: PageProps) {
  const run = useTask(taskId, useSession().catalogue.taskTypes);
  const { record, state, missing, final, events } = run;
  const open = state !== undefined && !isFinal(state);
  const now = useNow(open);
  const hasRun = events.some((event) => event.state === "RUNNING");
  const usual = useUsual(record?.name);
  const family = useFamily(taskId, state);
  useTitle(run);
  useSection(section, record !== undefined);

  return (
    <article className="task stack" aria-busy={open}>
      <nav className="crumbs" aria-label="Breadcrumb">
        <a href="#/tasks">Tasks</a>
        <Icon name="right" />
        {record && <a href={address(["types", record.name])}>{record.name}</a>}
        {record && <Icon name="right" />}
        <span>{taskId.slice(0, 8)}</span>
      </nav>
      <div className="pagehead">
        <h1 className="anywhere">{record?.name ?? "Task"}</h1>
        <LiveState run={run} big />
        <CopyId taskId={taskId} />
        {record && <Actions run={run} record={record} />}
      </div>
      {!record && !missing && <Loading what="the task" rows={8} />}
      {!record && missing && (
        <section className="card">
          <Empty icon="inbox" title="There is no such task yet" actions={<a className="btn" href="#/tasks">All tasks</a>}>
            It was not started yet, or its result has expired. As soon as somebody starts it, it appears here.
          </Empty>
        </section>
      )}
      {record && (
        <>
          <Summary run={run} record={record} now={now} usual={usual} />
          {open && <section className="card" aria-label="Progress"><div className="body only"><Advance run={run} now={now} usual={usual} /></div></section>}
          <Reason run={run} />
          <Sections taskId={taskId} current={section} has={{ error: Boolean(final?.error), result: hasResult(run), timeline: true, logs: hasRun, family: family !== undefined, input: true, related: true }} partial={!final} />
          <div className="cols">
            <div className="stack">
              {final?.error && <ErrorSection error={final.error} state={final.state} record={record} />}
              {hasResult(run) && (
                <section className="stack" id="result" aria-label="Output">
                  <RunResult run={run} />
                </section>
              )}
              <Timeline run={run} now={now} relatives={family?.children ?? []} total={family?.childCount ?? 0} />
              {hasRun && <TaskLogs taskId={taskId} open={open} section={section} query={query} />}
            </div>
            <aside className="stack" aria-label="About this task">
              {family && <FamilyView family={family} />}
              <InputView run={run} record={record} />
              <Details run={run} record={record} />
              <Related record={record} />
            </aside>
          </div>
        </>
      )}
    </article>
  );
}

/** For people who wait in another tab. */
function useTitle({ record, state, progress, taskId }: TaskRun): void {
  const done = state === "RUNNING" && progress !== null ? `${Math.floor(progress * 100)} %` : state && STATE_WORDS[state];
  const title = record && done ? `${done} ${record.name} ${taskId.slice(0, 8)} · dask-graphql` : undefined;
  useEffect(() => {
    if (title) document.title = title;
  }, [title]);
}

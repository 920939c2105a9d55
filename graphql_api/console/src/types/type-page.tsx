// A task type: its description, its form, the task that was started, and how its runs went.
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { refusal, request } from "../api/client.ts";
import type { Catalogue, TaskType } from "../api/task-types.ts";
import { address, go } from "../app/route.ts";
import { useMay, useOffline } from "../app/session.ts";
import { Banner, Loading } from "../ui/banner.tsx";
import { duration } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toasts.tsx";
import { RunForm, type Started } from "./form.tsx";
import { noteUse, togglePin } from "./kept.ts";
import { LastRuns } from "./last-runs.tsx";
import { type Figures, PAUSE, RESUME } from "./operations.ts";
import { TypeFigures } from "./type-figures.tsx";

const TaskPanel = lazy(() => import("../task/panel.tsx").then((module) => ({ default: module.TaskPanel })));

interface TypePageProps {
  type: TaskType;
  taskId: string | undefined;
  query: URLSearchParams;
  caller: Catalogue["caller"];
  pinned: boolean;
  figures: Figures | undefined;
  /** Called when the figures may have changed. */
  onChange(): void;
}

export function TypePage({ type, taskId, query, caller, pinned, figures, onChange }: TypePageProps) {
  const [started, setStarted] = useState<Started & { round: number }>();
  const own = started?.taskId === taskId ? started : undefined;
  const view = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a narrow screen the task is below the form.
    if (own) view.current?.scrollIntoView({ block: "nearest" });
  }, [own]);
  useEffect(() => {
    document.title = `${type.name} · dask-graphql`;
  }, [type.name]);

  const onStarted = (submission: Started) => {
    setStarted((last) => ({ ...submission, round: (last?.round ?? 0) + 1 }));
    noteUse(caller, type.name);
    go(address(["types", type.name, submission.taskId]));
  };

  return (
    <div className="stack">
      <div className="pagehead">
        <h1>{type.name}</h1>
        <span className="tag">version {type.version}</span>
        {figures?.paused && <span className="tag">paused</span>}
        <div className="row end">
          {caller.scopes.includes("SUBMIT") && <a className="btn desk" href={address(["schedules"], { new: type.name })}><Icon name="queued" />Schedule</a>}
          <PauseButton name={type.name} paused={figures?.paused} onChange={onChange} />
          <button
            type="button" className="btn icon" aria-pressed={pinned} aria-label="Pin in the list" title={pinned ? "Unpin from the list" : "Pin in the list"}
            onClick={() => togglePin(caller, type.name)}
          >
            <Icon name={pinned ? "pinned" : "star"} />
          </button>
        </div>
      </div>
      <p className="muted description">{withCode([type.description, limits(type)].filter(Boolean).join(" "))}</p>
      {figures?.paused && <Banner kind="warning" icon="pause" title="Paused">Runs are accepted and wait until somebody resumes it.</Banner>}
      <div className={taskId ? "threetwo ran" : "threetwo"}>
        <RunForm type={type} caller={caller} query={query} from={query.get("from") ?? taskId} onStarted={onStarted} />
        <div className="stack" ref={view}>
          {taskId && (
            <Suspense fallback={<Loading what="the task" rows={3} />}>
              <TaskPanel key={`${taskId} ${own?.round}`} taskId={taskId} outcome={own?.outcome} />
            </Suspense>
          )}
          <TypeFigures type={type} />
          <LastRuns type={type} />
          <Output type={type} />
        </div>
      </div>
    </div>
  );
}

/** What stands between backticks in a docstring is code. */
const withCode = (text: string) => text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));

/** `Stops after 20 min; failed attempts are tried again twice.` */
function limits({ timeoutSeconds, retries }: TaskType): string {
  const stops = timeoutSeconds === null ? "" : `stops after ${duration(timeoutSeconds * 1000)}`;
  const again = retries === 0 ? "" : `failed attempts are tried again ${retries === 1 ? "once" : retries === 2 ? "twice" : `${retries} times`}`;
  const sentence = [stops, again].filter(Boolean).join("; ");
  return sentence && `${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`;
}

/** Only for those who may. */
function PauseButton({ name, paused, onChange }: { name: string; paused: boolean | undefined; onChange(): void }) {
  const may = useMay("ADMIN");
  const offline = useOffline();
  if (!may || paused === undefined) return null;
  const change = () =>
    request(paused ? RESUME : PAUSE, { name }).then(
      () => {
        onChange();
        toast({ kind: "succeeded", text: paused ? `${name} runs again` : `${name} is paused: what runs goes on, the rest waits` });
      },
      (why: unknown) => toast({ kind: "failed", text: refusal(why).message }),
    );
  return (
    <button type="button" className="btn" disabled={offline !== undefined} title={offline} onClick={() => void change()}>
      <Icon name={paused ? "play" : "pause"} />
      {paused ? "Resume" : "Pause"}
    </button>
  );
}

/** The fields of what a run returns. */
function Output({ type }: { type: TaskType }) {
  const fields = type.types.find(({ name }) => name === type.outputType)?.fields ?? [];
  if (fields.length === 0) return null;
  return (
    <section className="card" aria-labelledby="comes-back">
      <header>
        <h2 id="comes-back">What comes back</h2>
        <span className="end mono small muted">{type.stream ? `a stream of ${type.stream.itemType}` : type.outputType}</span>
      </header>
      <div className="tablewrap">
        <table>
          <tbody>
            {fields.map(({ name, graphqlName, graphqlType, description }) => (
              <tr key={name}>
                <th scope="row" className="mono" title={description ?? undefined}>{graphqlName}</th>
                <td className="mono muted">{graphqlType}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

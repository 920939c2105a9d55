// Why a task has no result: in a few lines beside a form, and with its stack on the task's page.
import type { TaskState } from "@dask-graphql/client";
import { useEffect, useState } from "react";
import { request } from "../api/client.ts";
import { address } from "../app/route.ts";
import { Banner } from "../ui/banner.tsx";
import { ago, count, counted } from "../ui/format.ts";
import { adviceOn } from "../ui/parts.tsx";
import { CopyIcon } from "../ui/copy.tsx";
import type { TaskRecord } from "./operations.ts";
import { type FailureGroup, groupOf, SAME_ERROR } from "./same-error.ts";
import { type Frame, grouped, type Raised, raisedIn } from "./stack.ts";

type Failure = NonNullable<TaskRecord["error"]>;

/** Longer messages are folded. */
const SHOWN_CHARACTERS = 600;

/** A task that a person has cancelled has not failed. */
export function ErrorSummary({ error: { code, message, type }, state }: { error: Failure; state: TaskState }) {
  if (state === "CANCELLED") return <p className="muted anywhere">{message}</p>;
  return (
    <Banner kind="failed" title={<span className="anywhere">{type ? `${type}: ` : ""}{message.slice(0, SHOWN_CHARACTERS)}</span>}>
      <p className="small muted">{adviceOn(code)} <code>{code}</code></p>
    </Banner>
  );
}

export function ErrorSection({ error, state, record }: { error: Failure; state: TaskState; record: TaskRecord }) {
  const { code, message, type, traceback } = error;
  const raised = traceback ? raisedIn(traceback) : [];
  const place = raised[0]?.frames.find(({ library }) => !library);
  return (
    <section className="card" id="error" aria-label="Error">
      <header className="top">
        <div className="grow">
          <h2 className="errorhead">
            {state === "CANCELLED" ? "Cancelled" : <span className="failedname">{type ?? code}</span>}: <Folded text={message} />
          </h2>
          <p className="muted small">
            {place ? <>Raised in <code>{place.file}</code>, line {place.line}. </> : null}
            {type && <a href={address(["tasks"], { error: code })}><code>{code}</code></a>}
            {record.cancelledBy && ` by ${record.cancelledBy}`}
          </p>
          <SameError name={record.name} code={code} message={message} />
        </div>
        <CopyIcon text={() => traceback ?? `${type ?? code}: ${message}`} what={traceback ? "the error and its stack" : "the error"} />
      </header>
      {adviceOn(code) && <p className="advice">{adviceOn(code)}</p>}
      {traceback && <Stack traceback={traceback} raised={raised} />}
      {!traceback && code === "TASK_FAILED" && (
        <p className="advice muted small">The stack is in the worker's log. Administrators see it here where EXPOSE_TRACEBACKS is set.</p>
      )}
    </section>
  );
}

/** How many tasks failed with this error, with a link to them. */
function SameError({ name, code, message }: { name: string; code: string; message: string }) {
  const [group, setGroup] = useState<FailureGroup>();
  useEffect(() => {
    let current = true;
    request<{ failures: FailureGroup[] | null }>(SAME_ERROR, { names: [name], codes: [code] }).then(
      ({ failures }) => current && setGroup(groupOf(message, failures ?? [])), () => undefined, // a figure beside others
    );
    return () => {
      current = false;
    };
  }, [name, code, message]);
  if (!group || group.count < 2) return null;
  return (
    <p className="small">
      <a href={address(["tasks"], { failure: group.key })}>{count(group.count)} tasks failed with this error</a>
      {group.newestAt && <span className="muted">, the last one {ago(group.newestAt)}</span>}
    </p>
  );
}

function Folded({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  if (text.length <= SHOWN_CHARACTERS || all) return text;
  return (
    <>
      {text.slice(0, SHOWN_CHARACTERS)}…{" "}
      <button type="button" className="btn quiet slim" onClick={() => setAll(true)}>Show all, {counted(text.length - SHOWN_CHARACTERS, "more character")}</button>
    </>
  );
}

type View = "own" | "all" | "text";

function Stack({ traceback, raised }: { traceback: string; raised: Raised[] }) {
  const frames = raised.flatMap((one) => one.frames);
  const own = frames.filter(({ library }) => !library).length;
  const [chosen, setView] = useState<View>("own");
  const view = raised.length === 0 ? "text" : chosen === "own" && own === 0 ? "all" : chosen;
  const views: [View, string][] = [["own", "Your code"], ["all", `All ${frames.length}`], ["text", "Text"]];
  return (
    <>
      <div className="row stackhead">
        <h3>Stack</h3>
        {raised.length > 0 && (
          <div className="seg" role="group" aria-label="Frames">
            {views.filter(([name]) => name !== "own" || own > 0).map(([name, words]) => (
              <button key={name} type="button" aria-pressed={view === name} onClick={() => setView(name)}>{words}</button>
            ))}
          </div>
        )}
      </div>
      {view === "text" ? (
        <pre className="codeblock flat" tabIndex={0} role="region" aria-label="Traceback">{traceback}</pre>
      ) : (
        raised.map((one, index) => (
          <div key={index}>
            {index > 0 && <p className="cause"><span className="muted">Before that: </span><code className="anywhere">{one.message}</code></p>}
            <ol className="stack-frames" aria-label="Stack, where it was raised first">
              {grouped(one.frames).map((group, place) =>
                group[0]!.library && view === "own" ? (
                  <li key={place}>
                    <details>
                      <summary>{counted(group.length, "frame")} in {[...new Set(group.map(({ library }) => library))].slice(0, 3).join(", ")}</summary>
                      {group.map((frame, number) => <FrameView key={number} frame={frame} />)}
                    </details>
                  </li>
                ) : (
                  group.map((frame, number) => <li key={`${place} ${number}`}><FrameView frame={frame} /></li>)
                ),
              )}
            </ol>
          </div>
        ))
      )}
    </>
  );
}

const FrameView = ({ frame: { function: name, file, path, line, source, marks } }: { frame: Frame }) => (
  <>
    <div className="frame">
      <b>{name}</b>
      <span className="muted anywhere" title={path}>{file}:{line}</span>
    </div>
    {source && (
      <div className="src" tabIndex={0} role="group" aria-label={`Line ${line} of ${file}`}>
        <div className="hit"><span>{line}</span><span>{source}{marks && `\n${marks}`}</span></div>
      </div>
    )}
  </>
);

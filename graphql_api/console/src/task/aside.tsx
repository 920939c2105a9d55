// Beside a task's page: its input, its details, what it has to do with.
import { useState } from "react";
import { address } from "../app/route.ts";
import { counted, dateTime, shortTime, wholeTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Fact, Facts } from "../ui/parts.tsx";
import { STATE_WORDS, stateKey } from "../ui/state.tsx";
import { CopyIcon } from "../ui/copy.tsx";
import { JsonText } from "./json-text.tsx";
import type { TaskRecord } from "./operations.ts";
import type { TaskRun } from "./use-task.ts";
import { wireInput } from "./wire-input.ts";

/** Longer inputs are folded. */
const SHOWN_CHARACTERS = 2000;

interface AsideProps {
  run: TaskRun;
  record: TaskRecord;
}

export function InputView({ run: { type }, record }: AsideProps) {
  const [all, setAll] = useState(false);
  const input = type ? wireInput(type, record.input) : record.input;
  const text = JSON.stringify(input, null, 2);
  const defaults = type?.arguments.filter(({ name, required, default: filledIn }) => {
    const given = (record.input as Record<string, unknown> | null)?.[name];
    return !required && JSON.stringify(given) === JSON.stringify(filledIn);
  }) ?? [];
  const short = text.length > SHOWN_CHARACTERS && !all;
  return (
    <section className="card" id="input" aria-label="Input">
      <header>
        <h2>Input</h2>
        <span className="end"><CopyIcon text={() => text} what="the input as JSON" /></span>
      </header>
      <div className="body">
        {text === "{}" ? <p className="muted small">This task type takes no arguments.</p> : <JsonText text={short ? text.slice(0, SHOWN_CHARACTERS) : text} label="Input" />}
        {short && (
          <button type="button" className="btn quiet slim" onClick={() => setAll(true)}>
            Show all, {counted(text.length - SHOWN_CHARACTERS, "more character")}
          </button>
        )}
        {defaults.length > 0 && (
          <p className="small muted hintline">
            {defaults.length === 1 ? "A default: " : "Defaults: "}
            {defaults.map(({ graphqlName }, index) => <span key={graphqlName}>{index > 0 && ", "}<code>{graphqlName}</code></span>)}
          </p>
        )}
      </div>
    </section>
  );
}

const When = ({ time }: { time: string }) => <time dateTime={time} title={wholeTime(time)}>{shortTime(time)}</time>;

export function Details({ run: { type }, record }: AsideProps) {
  const { taskId, name, version, submittedAt, startedAt, finishedAt, expiresAt, worker, error, tags, retries } = record;
  return (
    <section className="card" aria-label="Details">
      <header><h2>Details</h2></header>
      <div className="body">
        <Facts>
          <Fact name="Submitted"><When time={submittedAt} /></Fact>
          <Fact name="Started">{startedAt && <When time={startedAt} />}</Fact>
          <Fact name="Ended">{finishedAt && <When time={finishedAt} />}</Fact>
          <Fact name="Worker">{worker && <a href={address(["tasks"], { worker })}>{worker}</a>}</Fact>
          <Fact name="Error code">{error && <code>{error.code}</code>}</Fact>
          <Fact name="Task type"><a href={address(["types", name])}>{name}</a>, version {version}{type && type.version !== version && ` (now ${type.version})`}</Fact>
          <Fact name="Time limit">{type?.timeoutSeconds && `${type.timeoutSeconds} s`}</Fact>
          <Fact name="Retries" title="How often it runs again after an error">{retries || "None"}</Fact>
          <Fact name="Tags">{tags.length > 0 && tags.map((tag) => <a key={tag} className="tag" href={address(["tasks"], { tag })}>{tag}</a>)}</Fact>
          <Fact name="Kept until">{expiresAt && <time dateTime={expiresAt} title={wholeTime(expiresAt)}>{dateTime(expiresAt)}</time>}</Fact>
          <dt>Task id</dt>
          <dd className="whole"><code className="wholeid">{taskId}</code></dd>
        </Facts>
      </div>
    </section>
  );
}

export function Related({ record: { submittedBy, submissions, cancelledBy, name, error, otherVersions } }: { record: TaskRecord }) {
  const others = submissions - 1;
  return (
    <section className="card" id="related" aria-label="Related">
      <header><h2>Related</h2></header>
      <div className="body">
        <Facts>
          <Fact name="Submitted by">{submittedBy && <a href={address(["tasks"], { by: submittedBy })}>{submittedBy}</a>}</Fact>
          <Fact name="Shared with">{others > 0 && `${counted(others, "other submission")} of the same`}</Fact>
          <Fact name="Cancelled by">{cancelledBy}</Fact>
          <Fact name="Same type"><a href={address(["tasks"], { type: name })}>All runs of {name}</a></Fact>
          <Fact name="Same error">{error && <a href={address(["tasks"], { type: name, error: error.code })}>Tasks of this type with <code>{error.code}</code></a>}</Fact>
        </Facts>
        {otherVersions.length > 0 && (
          <>
            <h3 className="small muted hintline">Same input, other versions</h3>
            <ul>
              {otherVersions.map(({ taskId, version, state, submittedAt }) => (
                <li key={taskId} className="rel">
                  <Icon name={stateKey(state)} className={`s-${stateKey(state)}`} />
                  <a href={address(["tasks", taskId])}>{version}</a>
                  <span className="muted">{STATE_WORDS[state]}, {shortTime(submittedAt)}</span>
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </section>
  );
}

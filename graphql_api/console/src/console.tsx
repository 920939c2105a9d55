// The console page: submit a task, watch it, see the recent ones.
import { type FormEvent, StrictMode, useCallback, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { type Refusal, refusal, request } from "./api.ts";
import "./console.css";
import { ago, call, count } from "./format.ts";
import { OVERVIEW, type Overview, SUBMIT, type Submission } from "./operations.ts";
import { RefusalView, TaskView } from "./task.tsx";

const REFRESH_MILLISECONDS = 4000;
const PRESETS = [90, 1000, 100_000, 5_000_000];

/** The task shown is in the address, so that it can be bookmarked and sent to others. */
const shownTask = (): string => /^#task=([0-9a-f]{32})$/.exec(location.hash)?.[1] ?? "";

function App() {
  const [taskId, setTaskId] = useState(shownTask);
  const [submitted, setSubmitted] = useState<{ taskId: string; outcome: string; round: number }>();
  const [overview, setOverview] = useState<Overview>();
  const [away, setAway] = useState<Refusal>();

  const refresh = useCallback(() => {
    request<Overview>(OVERVIEW).then(
      (answer) => {
        setOverview(answer);
        setAway(undefined);
      },
      (reason: unknown) => setAway(refusal(reason)),
    );
  }, []);

  useEffect(() => {
    const follow = () => setTaskId(shownTask());
    const refreshIfSeen = () => document.visibilityState === "visible" && refresh();
    refresh();
    const timer = setInterval(refreshIfSeen, REFRESH_MILLISECONDS);
    addEventListener("hashchange", follow);
    document.addEventListener("visibilitychange", refreshIfSeen);
    return () => {
      clearInterval(timer);
      removeEventListener("hashchange", follow);
      document.removeEventListener("visibilitychange", refreshIfSeen);
    };
  }, [refresh]);

  const onSubmitted = ({ taskId, outcome }: Submission["submitFibonacci"]) => {
    setSubmitted((last) => ({ taskId, outcome, round: (last?.round ?? 0) + 1 }));
    location.hash = `task=${taskId}`;
    setTaskId(taskId);
    refresh();
  };
  const own = submitted?.taskId === taskId ? submitted : undefined;

  return (
    <>
      <header className="top">
        <h1>dask-graphql</h1>
        <ClusterLine overview={overview} away={away} />
        <a className="end" href="/graphql">
          GraphiQL
        </a>
      </header>
      <main>
        <div className="column">
          <SubmitForm onSubmitted={onSubmitted} />
          {taskId && (
            <TaskView
              key={`${taskId} ${own?.round ?? 0}`}
              taskId={taskId}
              onChange={refresh}
              {...(own ? { outcome: own.outcome } : {})}
            />
          )}
        </div>
        <RecentTasks overview={overview} shown={taskId} />
      </main>
    </>
  );
}

function ClusterLine({ overview, away }: { overview: Overview | undefined; away: Refusal | undefined }) {
  if (away) return <span className="light bad">{away.code ?? "the api does not answer"}</span>;
  if (!overview) return <span className="light">connecting</span>;
  const { schedulerConnected, workers } = overview.cluster;
  return schedulerConnected ? (
    <span className="light good">
      {count(workers.length)} worker{workers.length === 1 ? "" : "s"}
    </span>
  ) : (
    <span className="light bad" title="Tasks are accepted and wait until it is back">
      no scheduler
    </span>
  );
}

function SubmitForm({ onSubmitted }: { onSubmitted(submission: Submission["submitFibonacci"]): void }) {
  const [n, setN] = useState("90");
  const [recompute, setRecompute] = useState(false);
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<Refusal>();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setReason(undefined);
    try {
      onSubmitted((await request<Submission>(SUBMIT, { n: Number(n), recompute })).submitFibonacci);
    } catch (why) {
      setReason(refusal(why));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="card" onSubmit={submit}>
      <h2>Submit a task</h2>
      <div className="row">
        <label className="call">
          <span>fibonacci(n:</span>
          {/* No `min`: what the api refuses, and with which code, is worth seeing. */}
          <input type="number" step="1" required autoFocus value={n} onChange={(e) => setN(e.target.value)} aria-label="n" />
          <span>)</span>
        </label>
        <button type="submit" disabled={busy}>
          Submit
        </button>
        <label className="hint">
          <input type="checkbox" checked={recompute} onChange={(e) => setRecompute(e.target.checked)} /> run again even if a
          result is kept
        </label>
      </div>
      <div className="row presets" role="group" aria-label="Examples of n">
        {PRESETS.map((preset) => (
          <button type="button" className="quiet" key={preset} onClick={() => setN(String(preset))}>
            {count(preset)}
          </button>
        ))}
      </div>
      {reason && <RefusalView reason={reason} />}
    </form>
  );
}

function RecentTasks({ overview, shown }: { overview: Overview | undefined; shown: string }) {
  const tasks = overview?.tasks.edges.map(({ node }) => node) ?? [];
  return (
    <nav className="card recent" aria-labelledby="recent-title">
      <h2 id="recent-title">Recent tasks</h2>
      {overview && tasks.length === 0 && <p className="hint">None yet. Submit one: its state and result appear here at once.</p>}
      <ul>
        {tasks.map(({ taskId, name, input, state, submittedAt }) => (
          <li key={taskId}>
            <a href={`#task=${taskId}`} aria-current={taskId === shown ? "true" : undefined}>
              <span className="name">{call(name, input)}</span>
              <span className={`state ${state}`}>{state}</span>
              <code className="hint">{taskId.slice(0, 8)}</code>
              <time className="hint" dateTime={submittedAt}>
                {ago(submittedAt)}
              </time>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

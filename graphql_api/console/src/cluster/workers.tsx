// Who works on what, since when, with how much memory; administrators retire workers here.
import { useState } from "react";
import { refusal, request } from "../api/client.ts";
import type { Cluster, Worker } from "../api/operations.ts";
import { useNow } from "../api/poll.ts";
import { useOffline } from "../app/session.ts";
import { address } from "../app/route.ts";
import { Empty } from "../ui/banner.tsx";
import { bytes, count, counted, duration, wholeTime } from "../ui/format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Dialog } from "../ui/overlay.tsx";
import { toast } from "../ui/toasts.tsx";
import { DRAIN, type WorkerDetail } from "./operations.ts";

const FIRST = 10;
/** A worker that uses more of its memory is nearly full: Dask pauses it at 80 %. */
const NEARLY_FULL = 0.8;

interface WorkersCardProps {
  cluster: Cluster;
  details: WorkerDetail[];
  mayRetire: boolean;
}

export function WorkersCard({ cluster, details, mayRetire }: WorkersCardProps) {
  const { workers, fleet } = cluster;
  const [all, setAll] = useState(false);
  const [wanted, setWanted] = useState("");
  const [asked, setAsked] = useState<string>();
  /** Those that were retired here; the scheduler names them until they are gone. */
  const [retiring, setRetiring] = useState<ReadonlySet<string>>(new Set());
  const now = useNow(true);
  const offline = useOffline();
  const known = new Map(details.map((detail) => [detail.name, detail]));
  const text = wanted.trim().toLowerCase();
  const found = workers.filter(({ name }) => text === "" || name.toLowerCase().includes(text) || known.get(name)?.runs.some((run) => run.name.includes(text)));
  const shown = all || text ? found : found.slice(0, FIRST);
  const starting = workers.filter(({ state }) => state === "STARTING").length;

  const retire = async (name: string) => {
    setAsked(undefined);
    try {
      await request(DRAIN, { name });
      setRetiring(new Set([...retiring, name]));
      toast({ kind: "succeeded", text: `${name} takes no more tasks and stops when its tasks have ended` });
    } catch (reason) {
      toast({ kind: "failed", text: `${name} was not retired: ${refusal(reason).message}` });
    }
  };

  return (
    <section className="card" id="workers" tabIndex={-1} aria-labelledby="workers-title">
      <header>
        <h2 id="workers-title">Workers</h2>
        <span className="muted small">{count(workers.length - starting)} connected{starting > 0 && `, ${starting} starting`}</span>
        {workers.length > FIRST && (
          <div className="row end">
            <div className="searchbox">
              <Icon name="search" />
              <input type="search" aria-label="Find a worker" placeholder="Name or task type" value={wanted} onChange={(event) => setWanted(event.target.value)} />
            </div>
          </div>
        )}
      </header>
      {workers.length === 0 ? (
        <Empty icon="cluster" title="No worker is connected">
          {fleet?.launching ? "One is being started." : fleet ? "The controller starts one when a task comes." : "Tasks wait until one is."}
        </Empty>
      ) : (
        <>
          <div className="tablewrap" tabIndex={0} role="group" aria-label="Workers">
            <table>
              <thead>
                <tr>
                  <th scope="col">Worker</th><th scope="col">State</th><th scope="col" className="num">Threads</th><th scope="col">CPU</th><th scope="col">Memory</th>
                  <th scope="col">Running now</th><th scope="col" className="num">Up for</th><th scope="col" className="num">Tasks done</th>
                  {mayRetire && <th scope="col"><span className="visually-hidden">Actions</span></th>}
                </tr>
              </thead>
              <tbody>
                {shown.map((worker) => (
                  <Row key={worker.name} worker={worker} detail={known.get(worker.name)} now={now} retiring={retiring.has(worker.name)} onRetire={mayRetire ? () => setAsked(worker.name) : undefined} />
                ))}
              </tbody>
            </table>
          </div>
          {(found.length > shown.length || all) && !text && (
            <div className="foot">
              <span>{count(shown.length)} of {count(found.length)}</span>
              <button type="button" className="btn slim end" onClick={() => setAll(!all)}>{all ? "Show fewer" : "Show all"}</button>
            </div>
          )}
          {text && found.length === 0 && <p className="foot">No worker has this name or runs such a task.</p>}
        </>
      )}
      {asked !== undefined && (
        <Dialog
          title={`Retire ${asked}?`} onClose={() => setAsked(undefined)}
          actions={
            <>
              <button type="button" className="btn" onClick={() => setAsked(undefined)}>Keep it</button>
              <button type="button" className="btn danger" disabled={offline !== undefined} title={offline} onClick={() => void retire(asked)}>Retire</button>
            </>
          }
        >
          <p>
            It takes no more tasks. {running(known.get(asked))} may end first; what takes too long starts again on another worker.
            {fleet ? " The controller starts another worker if there is work for it." : " Nothing starts another worker by itself."}
          </p>
        </Dialog>
      )}
    </section>
  );
}

const running = (detail: WorkerDetail | undefined): string => (detail?.runs.length ? `The ${counted(detail.runs.length, "task")} that it runs` : "What it runs");

interface RowProps {
  worker: Worker;
  detail: WorkerDetail | undefined;
  now: number;
  retiring: boolean;
  onRetire: (() => void) | undefined;
}

function Row({ worker, detail, now, retiring, onRetire }: RowProps) {
  const offline = useOffline();
  const { name, threads, memoryBytes, memoryLimitBytes } = worker;
  const starts = worker.state === "STARTING";
  const full = memoryLimitBytes > 0 ? memoryBytes / memoryLimitBytes : 0;
  const { icon, kind, word } = stateOf(worker, full, retiring);
  return (
    <tr>
      <td className="strong">{name}</td>
      <td><span className={`state s-${kind}`}><Icon name={icon} />{word}</span></td>
      <td className="num">{starts ? "–" : threads}</td>
      <td>{detail?.cpu == null ? <span className="muted">–</span> : <Meter share={detail.cpu}>{Math.round(detail.cpu * 100)} %</Meter>}</td>
      <td>{starts ? <span className="muted">–</span> : <Meter share={full} warning={full > NEARLY_FULL}>{bytes(memoryBytes)}{memoryLimitBytes > 0 && ` of ${bytes(memoryLimitBytes)}`}</Meter>}</td>
      <td className="message" title={worker.problem ?? undefined}>{worker.problem ?? <Runs detail={detail} busy={worker.processing > 0} />}</td>
      <td className="num">
        {starts ? duration((worker.startingSeconds ?? 0) * 1000) : detail?.since ? <time dateTime={detail.since} title={`Since ${wholeTime(detail.since)}`}>{duration(now - Date.parse(detail.since))}</time> : "–"}
      </td>
      <td className="num">{detail?.finished == null ? "–" : count(detail.finished)}</td>
      {onRetire && (
        <td className="num">
          {!starts && <button type="button" className="btn quiet slim" aria-label={`Retire ${name}`} disabled={retiring || offline !== undefined} title={offline} onClick={onRetire}>Retire</button>}
        </td>
      )}
    </tr>
  );
}

function stateOf({ state, problem, processing }: Worker, full: number, retiring: boolean): { icon: IconName; kind: string; word: string } {
  if (problem) return { icon: "failed", kind: "failed", word: "Cannot start" };
  if (state === "STARTING") return { icon: "queued", kind: "queued", word: "Starting" };
  if (retiring) return { icon: "warning", kind: "warning", word: "Retiring" };
  if (full > NEARLY_FULL) return { icon: "warning", kind: "warning", word: "Nearly full" };
  return processing > 0 ? { icon: "running", kind: "running", word: "Busy" } : { icon: "idle", kind: "queued", word: "Idle" };
}

function Runs({ detail, busy }: { detail: WorkerDetail | undefined; busy: boolean }) {
  const [first] = detail?.runs ?? [];
  // Parts of a graph belong to the task whose attempt begins on one worker and spreads from there.
  if (!detail || !first) return <span className="muted">{busy ? "Parts of tasks" : "Nothing"}</span>;
  return (
    <>
      <a className="strongname" href={address(["tasks", first.taskId])}>{first.name} {first.taskId.slice(0, 4)}</a>
      {detail.runs.length > 1 && <> <a href={address(["tasks"], { state: "running", worker: detail.name })}>and {detail.runs.length - 1} more</a></>}
    </>
  );
}

const Meter = ({ share, warning = false, children }: { share: number; warning?: boolean; children: React.ReactNode }) => (
  <>
    <span className={`meter ${warning ? "s-warning" : "k1"}`} aria-hidden="true"><i style={{ width: `${Math.min(100, share * 100)}%` }} /></span>{" "}
    <span className="muted">{children}</span>
  </>
);

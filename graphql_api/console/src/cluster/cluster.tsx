// The cluster, live: workers, queue and throughput over time, and the controller's decisions with their reasons.
import { Chart } from "../ui/chart.tsx";
import { ago, bytes, clock, count, counted } from "../ui/format.ts";
import type { Cluster, Fleet } from "../api/operations.ts";
import { Fact, Facts, RefusalView } from "../ui/parts.tsx";
import { type ClusterWatch, inState, type Sample } from "./watch.ts";

/** Tasks ended per second between two samples; never negative, even if records expire or run again. */
const rates = (history: Sample[]): number[] =>
  history.slice(1).map((sample, index) => {
    const before = history[index]!;
    return Math.max(0, (sample.ended - before.ended) / ((sample.at - before.at) / 1000));
  });

export function ClusterPage({ watch }: { watch: ClusterWatch }) {
  const { cluster, reason, history } = watch;
  if (!cluster) return <section className="card"><h1>Cluster</h1>{reason ? <RefusalView reason={reason} /> : <p className="hint">Loading …</p>}</section>;
  const { fleet, workers } = cluster;
  const threads = workers.reduce((sum, worker) => sum + worker.threads, 0);
  const times = history.map(({ at }) => at);
  return (
    <div className="column">
      <section className="card" aria-labelledby="cluster-title">
        <header className="row">
          <h1 id="cluster-title">Cluster</h1>
          {cluster.dashboardUrl && (
            <a className="end" href={cluster.dashboardUrl} target="_blank" rel="noreferrer">
              Dask's dashboard
            </a>
          )}
        </header>
        {reason && <RefusalView reason={reason} />}
        {!cluster.schedulerConnected && (
          <p className="refusal">The scheduler is not connected. Tasks are accepted, and run when it is back.</p>
        )}
        <div className="figures">
          <Figure name="workers" value={count(workers.length)} more={counted(threads, "thread")} />
          <Figure name="running" value={count(inState(cluster, "RUNNING"))} more="tasks" />
          <Figure name="queued" value={count(inState(cluster, "QUEUED"))} more="tasks" />
          <Figure name="ended" value={(rates(history).at(-1) ?? 0).toFixed(1)} more="tasks per second" />
          {fleet?.costPerHour != null && (
            <Figure name="cost" value={`$${fleet.costPerHour.toFixed(fleet.costPerHour < 1 ? 3 : 2)}`} more="per hour" />
          )}
        </div>
        <div className="chartgrid">
          <Chart
            title="Workers" times={times}
            series={[
              { name: "Wanted", tone: 6, look: "dash", values: history.map(({ wanted }) => wanted) },
              { name: "Connected", tone: 1, values: history.map(({ workers }) => workers) },
            ]}
          />
          <Chart
            title="Tasks" times={times}
            series={[
              { name: "Waiting", tone: 4, look: "dash", values: history.map(({ waiting }) => waiting) },
              { name: "Running", tone: 1, values: history.map(({ processing }) => processing) },
            ]}
          />
          <Chart title="Finished tasks a second" times={times.slice(1)} unit="rate" series={[{ name: "Finished", tone: 2, look: "area", values: rates(history) }]} />
        </div>
        <Facts>
          {cluster.tasks.map(({ state, count: number }) => (
            <Fact key={state} name={state}>{count(number)}</Fact>
          ))}
          <Fact name="Dask: waiting">{count(cluster.waiting)}</Fact>
          <Fact name="Dask: processing">{count(cluster.processing)}</Fact>
        </Facts>
      </section>
      <FleetCard fleet={fleet} />
      <WorkersCard cluster={cluster} />
    </div>
  );
}

const Figure = ({ name, value, more }: { name: string; value: string; more: string }) => (
  <p>
    <span className="hint">{name}</span>
    <strong>{value}</strong>
    <span className="hint">{more}</span>
  </p>
);

function FleetCard({ fleet }: { fleet: Fleet | null }) {
  return (
    <section className="card" aria-labelledby="fleet-title">
      <h2 id="fleet-title">Fleet</h2>
      {!fleet && <p className="hint">No controller is running, so nothing starts or stops workers automatically.</p>}
      {fleet && (
        <>
          <Facts>
            <Fact name="Wanted">{fleet.wanted}</Fact>
            <Fact name="Launching">{fleet.launching}</Fact>
            <Fact name="Running">{fleet.running}</Fact>
            <Fact name="Retiring">{fleet.retiring}</Fact>
            <Fact name="Limits">{`${fleet.minWorkers} to ${count(fleet.maxWorkers)}`}</Fact>
            <Fact name="Launch time">{fleet.launchSeconds != null && `${fleet.launchSeconds.toFixed(1)} s`}</Fact>
          </Facts>
          <p>{fleet.reason}</p>
          {fleet.problem && <p className="refusal">{fleet.problem}</p>}
          <Decisions decisions={fleet.decisions} />
        </>
      )}
    </section>
  );
}

const Decisions = ({ decisions }: { decisions: Fleet["decisions"] }) => (
  <>
    <h3>Decisions of the controller</h3>
    {decisions.length === 0 && <p className="hint">None yet.</p>}
    <ol className="events">
      {decisions.map(({ at, wanted, started, stopped, reason }) => (
        <li key={at}>
          <time dateTime={at} title={clock(at, true)}>{ago(at)}</time>
          <span className="offset">{[started > 0 && `+${started}`, stopped > 0 && `−${stopped}`].filter(Boolean).join(" ") || "="}</span>
          <span>
            {wanted !== null && `${wanted} wanted. `}
            <span className="hint">{reason}</span>
          </span>
        </li>
      ))}
    </ol>
  </>
);

const WorkersCard = ({ cluster }: { cluster: Cluster }) => (
  <section className="card" aria-labelledby="workers-title">
    <h2 id="workers-title">Workers</h2>
    {cluster.workers.length === 0 ? (
      <p className="hint">No worker is connected.</p>
    ) : (
      <div className="scroll" tabIndex={0} role="group" aria-label="Workers">
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              <th scope="col">Threads</th>
              <th scope="col">Dask tasks</th>
              <th scope="col">Memory</th>
            </tr>
          </thead>
          <tbody>
            {cluster.workers.map(({ name, state, startingSeconds, problem, threads, processing, memoryBytes, memoryLimitBytes }) => (
              <tr key={name}>
                <th scope="row"><code>{name}</code></th>
                <td>
                  {state === "STARTING" ? (
                    <><span className="state QUEUED">STARTING</span> {problem ?? `for ${Math.round(startingSeconds ?? 0)} s`}</>
                  ) : processing > 0 ? <span className="state RUNNING">BUSY</span> : <span className="state">IDLE</span>}
                </td>
                <td>{threads}</td>
                <td>{processing}</td>
                <td>
                  {memoryLimitBytes > 0 && <meter min={0} max={memoryLimitBytes} high={memoryLimitBytes * 0.8} value={memoryBytes} aria-label={`Memory of ${name}`} />}
                  {bytes(memoryBytes)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    )}
  </section>
);

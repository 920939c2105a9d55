// The cluster: what is wrong and what to do, how it has gone, what it costs, and who works on what.
import { usePoll } from "../api/poll.ts";
import { useMay, useSession } from "../app/session.ts";
import { Banner, Loading } from "../ui/banner.tsx";
import { axisTime } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { CostCard } from "./cost.tsx";
import { Decisions } from "./decisions.tsx";
import { FailuresCard } from "./failures.tsx";
import { Figures } from "./figures.tsx";
import { HistoryCharts } from "./history-charts.tsx";
import { type ClusterDetail, DETAIL, type WorkerDetail } from "./operations.ts";
import { markPeriod, PERIODS, showPeriod, shownPeriod } from "./period.ts";
import { Pools } from "./pools.tsx";
import { Problems } from "./problems.tsx";
import { Queues } from "./queues.tsx";
import { WorkersCard } from "./workers.tsx";

const DETAIL_MILLISECONDS = 5000;
const NOBODY: WorkerDetail[] = [];

export function ClusterPage({ query }: { query: URLSearchParams }) {
  const { watch: { cluster, reason: lost } } = useSession();
  const { period, marked } = shownPeriod(query);
  const { data, reason } = usePoll<ClusterDetail>(DETAIL, { seconds: period.seconds, points: period.points }, DETAIL_MILLISECONDS);
  const admin = useMay("ADMIN");
  const detail = data?.cluster;
  return (
    <>
      <div className="pagehead">
        <h1>Cluster</h1>
        <div className="row end">
          {marked && (
            <span className="chip">
              {axisTime(marked[0], 0)} to {axisTime(marked[1], 0)}
              <button type="button" aria-label="Show the whole period" title="Show the whole period" onClick={() => showPeriod(period)}><Icon name="x" /></button>
            </span>
          )}
          <div className="seg" role="group" aria-label="Period">
            {PERIODS.map((one) => (
              <button key={one.key} type="button" aria-pressed={one === period && !marked} onClick={() => showPeriod(one)}>{one.label}</button>
            ))}
          </div>
          {cluster?.dashboardUrl && (
            <a className="btn desk" href={cluster.dashboardUrl} target="_blank" rel="noreferrer">
              Dask's dashboard<Icon name="external" />
            </a>
          )}
        </div>
      </div>
      {!cluster && (lost?.code ? <Banner kind="failed" title="You cannot see the cluster">{lost.message}</Banner> : <section className="card"><Loading what="the cluster" /></section>)}
      {cluster && (
        <>
          <Problems cluster={cluster} />
          <section className="card" aria-label="Now and before">
            <Figures cluster={cluster} history={detail?.history ?? undefined} cost={detail?.cost ?? undefined} period={period} />
            {detail?.history ? (
              <HistoryCharts history={detail.history} period={period} marked={marked} onMark={(from, to) => markPeriod(period, from, to)} />
            ) : reason ? (
              <Banner kind="warning" title="The history cannot be shown now">{reason.message}</Banner>
            ) : (
              <Loading what="the history" rows={8} />
            )}
          </section>
          <div className={detail?.cost ? "threetwo" : "stack"}>
            <div className="stack">
              {detail?.queueByTenant && detail.queueByTenant.length > 0 && <Queues queues={detail.queueByTenant} />}
              <FailuresCard period={period} />
              <Decisions fleet={cluster.fleet} />
            </div>
            {detail?.cost && <CostCard cost={detail.cost} />}
          </div>
          {detail && detail.pools.length > 1 && <Pools pools={detail.pools} />}
          <WorkersCard cluster={cluster} details={detail?.workers ?? NOBODY} mayRetire={admin} />
        </>
      )}
    </>
  );
}

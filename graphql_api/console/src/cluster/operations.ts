// What the cluster page asks for beside what every page watches (watch.ts).

export interface HistoryPoint {
  at: string;
  waiting: number | null;
  running: number | null;
  workers: number | null;
  wanted: number | null;
  succeeded: number;
  failed: number;
  cancelled: number;
  waitP50: number | null;
  waitP95: number | null;
  waitP99: number | null;
  runP50: number | null;
  runP95: number | null;
  runP99: number | null;
  costPerHour: number | null;
}

export interface History {
  from: string;
  to: string;
  stepSeconds: number;
  points: HistoryPoint[];
}

export interface Cost {
  perHour: number | null;
  today: number;
  yesterday: number;
  thisMonth: number;
  monthAtThisRate: number | null;
  byType: { name: string; month: number }[];
}

export interface WorkerDetail {
  name: string;
  cpu: number | null;
  since: string | null;
  finished: number | null;
  runs: { taskId: string; name: string }[];
}

export interface Pool {
  name: string;
  cpu: number | null;
  memoryGib: number | null;
  gpu: number;
  maxWorkers: number;
  wanted: number | null;
  workers: number;
  launching: number;
  waiting: number;
  processing: number;
  costPerHour: number | null;
}

export interface ClusterDetail {
  cluster: {
    history: History | null;
    cost: Cost | null;
    queueByTenant: { tenant: string; waiting: number; running: number }[] | null;
    workers: WorkerDetail[];
    pools: Pool[];
  };
}

export const DETAIL = `query ClusterDetail($seconds: Int!, $points: Int!) {
  cluster {
    history(seconds: $seconds, points: $points) {
      from to stepSeconds
      points { at waiting running workers wanted succeeded failed cancelled waitP50 waitP95 waitP99 runP50 runP95 runP99 costPerHour }
    }
    cost { perHour today yesterday thisMonth monthAtThisRate byType { name month } }
    queueByTenant { tenant waiting running }
    workers { name cpu since finished runs { taskId name } }
    pools { name cpu memoryGib gpu maxWorkers wanted workers launching waiting processing costPerHour }
  }
}`;

export interface FailureGroup {
  key: string;
  name: string;
  code: string;
  message: string;
  count: number;
  newestAt: string | null;
  taskIds: string[];
}

export const FAILURES = `query Failures($after: DateTime!) {
  failures(where: { finishedAfter: $after }, first: 5) { key name code message count newestAt taskIds }
}`;

export const DRAIN = "mutation Retire($name: String!) { drainWorker(name: $name) }";

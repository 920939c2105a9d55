// The operations of the console and the types of their responses, as in schema.graphql.
import type { TaskState } from "@dask-graphql/client";
import type { Stream } from "./task-types.ts";

export const STATES = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const satisfies TaskState[];

export interface TaskLine {
  taskId: string;
  name: string;
  input: unknown;
  state: TaskState;
  attempt: number;
  seq: number;
  progress: number | null;
  submittedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  error: { code: string; message: string; type: string | null; traceback: string | null } | null;
}

export interface Task extends TaskLine {
  version: string;
  submissions: number;
  worker: string | null;
  expiresAt: string | null;
  result?: Record<string, unknown> | null;
}

const LINE = "taskId name input state attempt seq progress submittedAt startedAt finishedAt error { code message type traceback }";

const TASK = `${LINE} version submissions worker expiresAt`;

export const READ = `query Read($taskId: ID!) { task(taskId: $taskId) { ${TASK} } }`;

export interface Waiting {
  reason: "QUEUED_BEHIND" | "NO_WORKER" | "LAUNCHING" | "NOT_BEFORE" | "RETRY" | "LIMIT" | "PAUSED" | "SCHEDULER_AWAY";
  ahead: number | null;
  etaSeconds: number | null;
}

export const WAITING = "query Waiting($taskId: ID!) { task(taskId: $taskId) { waiting { reason ahead etaSeconds } } }";

/** Every item of a stream as it comes. */
export const itemsOf = (stream: Stream): string => `subscription Items($taskId: ID!, $after: String) {
  taskItems(taskId: $taskId, after: $after) { cursor attempt number typed { ... on ${stream.itemType} { ${stream.selection} } } }
}`;

export interface TaskChange {
  reset: boolean;
  matches: boolean;
  taskId: string | null;
  task: TaskLine | null;
}

/** Every change of the tasks in a list; those that leave it with `matches: false`. */
export const CHANGES = `subscription Changes($where: TaskFilter!) {
  tasksChanged(where: $where) { reset matches taskId task { ${LINE} } }
}`;

export const TASKS = `query Tasks($first: Int!, $after: String, $where: TaskFilter) {
  tasks(first: $first, after: $after, where: $where) {
    edges { node { ${LINE} } }
    pageInfo { hasNextPage endCursor }
  }
}`;

export interface TaskPage {
  tasks: { edges: { node: TaskLine }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}

export interface Worker {
  name: string;
  state: "STARTING" | "RUNNING";
  startingSeconds: number | null;
  problem: string | null;
  threads: number;
  processing: number;
  memoryBytes: number;
  memoryLimitBytes: number;
}

export interface Fleet {
  wanted: number | null;
  launching: number;
  running: number;
  retiring: number;
  minWorkers: number;
  maxWorkers: number;
  reason: string;
  launchSeconds: number | null;
  problem: string | null;
  costPerHour: number | null;
  decisions: { at: string; wanted: number | null; started: number; stopped: number; reason: string }[];
}

export interface Problem {
  code: string;
  message: string;
  advice: string;
  since: string | null;
  /** The task type that it is about. */
  name: string | null;
}

export interface Cluster {
  schedulerConnected: boolean;
  schedulerEpoch: string | null;
  dashboardUrl: string | null;
  waiting: number;
  processing: number;
  workers: Worker[];
  fleet: Fleet | null;
  tasks: { state: TaskState; count: number }[];
  /** What is wrong, the most urgent first. */
  problems: Problem[] | null;
  oldestWaitingSeconds: number | null;
  /** Only of a system that loads changed task modules while it runs. */
  reload: { count: number; error: string | null } | null;
}

export const CLUSTER = `subscription Cluster {
  clusterChanges {
    schedulerConnected schedulerEpoch dashboardUrl waiting processing
    workers { name state startingSeconds problem threads processing memoryBytes memoryLimitBytes }
    fleet {
      wanted launching launchSeconds running retiring minWorkers maxWorkers reason problem costPerHour
      decisions { at wanted started stopped reason }
    }
    tasks { state count }
    problems { code message advice since name }
    oldestWaitingSeconds
    reload { count error }
  }
}`;

export const ENDS = `query Ends($taskId: ID!, $tail: Int!, $length: Int!) {
  task(taskId: $taskId) {
    result {
      ... on FibonacciResult { head: digitsSlice(offset: 0, length: $length) tail: digitsSlice(offset: $tail, length: $length) }
    }
  }
}`;

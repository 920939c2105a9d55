// The operations of the console and the types of their responses, as in schema.graphql.
import type { TaskState, TaskSummary } from "@dask-graphql/client";
import type { Stream } from "./task-types.ts";

export const STATES = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] as const satisfies TaskState[];

/** What a form takes from a task. */
export const READ = "query Read($taskId: ID!) { task(taskId: $taskId) { name input } }";

export const WAITING = "query Waiting($taskId: ID!) { task(taskId: $taskId) { waiting { reason ahead etaSeconds } } }";

/** Every item of a stream as it comes. */
export const itemsOf = (stream: Stream): string => `subscription Items($taskId: ID!, $after: String) {
  taskItems(taskId: $taskId, after: $after) { cursor attempt number typed { ... on ${stream.itemType} { ${stream.selection} } } }
}`;

export interface TaskChange {
  taskId: string | null;
  task: Pick<TaskSummary, "taskId" | "name" | "state" | "submittedAt" | "finishedAt"> | null;
}

/** Every change of the tasks in a list, as far as a notification tells of it. */
export const CHANGES = `subscription Changes($where: TaskFilter!) {
  tasksChanged(where: $where) { taskId task { taskId name state submittedAt finishedAt } }
}`;

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
  schedule: string | null;
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
    problems { code message advice since name schedule }
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

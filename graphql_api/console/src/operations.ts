// The operations of the console page and the shapes of their answers, as schema.graphql gives them.

export type TaskState = "QUEUED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";

export const isFinal = (state: TaskState | undefined): boolean =>
  state === "SUCCEEDED" || state === "FAILED" || state === "CANCELLED";

export interface FibonacciResult {
  __typename: "FibonacciResult";
  n: number;
  digits: number;
  bitLength: number;
  sha256: string;
  value: string | null;
  blob: { url: string; sizeBytes: string } | null;
}

export interface Task {
  taskId: string;
  name: string;
  version: string;
  input: unknown;
  state: TaskState;
  attempt: number;
  submissions: number;
  submittedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  error: { code: string; message: string; type: string | null } | null;
  result: FibonacciResult | { __typename: string } | null;
}

export interface TaskEvent {
  seq: number;
  kind: string;
  state: TaskState;
  attempt: number;
  at: string;
  progress: number | null;
  message: string | null;
}

export interface Overview {
  tasks: { edges: { node: Pick<Task, "taskId" | "name" | "input" | "state" | "submittedAt"> }[] };
  cluster: { schedulerConnected: boolean; workers: { name: string; threads: number }[] };
}

export interface Submission {
  submitFibonacci: { taskId: string; outcome: "NEW" | "JOINED" | "CACHED" | "RECOMPUTED" };
}

const TASK = `taskId name version input state attempt submissions submittedAt startedAt finishedAt
  error { code message type }
  result { __typename ... on FibonacciResult { n digits bitLength sha256 value blob { url sizeBytes } } }`;

export const SUBMIT = `mutation Submit($n: Int!, $recompute: Boolean!) {
  submitFibonacci(n: $n, options: { recompute: $recompute }) { taskId outcome }
}`;

export const CANCEL = `mutation Cancel($taskId: ID!) { cancelTask(taskId: $taskId) { taskId } }`;

export const OVERVIEW = `query Overview {
  tasks(first: 20) { edges { node { taskId name input state submittedAt } } }
  cluster { schedulerConnected workers { name threads } }
}`;

export const READ = `query Read($taskId: ID!) { task(taskId: $taskId) { ${TASK} } }`;

export const RESULT = `subscription Result($taskId: ID!) { taskResult(taskId: $taskId) { ${TASK} } }`;

export const EVENTS = `subscription Events($taskId: ID!) {
  taskEvents(taskId: $taskId) { seq kind state attempt at progress message }
}`;

export const ENDS = `query Ends($taskId: ID!, $tail: Int!, $length: Int!) {
  task(taskId: $taskId) {
    result {
      ... on FibonacciResult { head: digitsSlice(offset: 0, length: $length) tail: digitsSlice(offset: $tail, length: $length) }
    }
  }
}`;

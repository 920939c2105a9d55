// The operations of the list of tasks, and a task as the list keeps it.
import type { TaskState, TaskSummary, Waiting } from "@dask-graphql/client";

/** A row as the api sends it. */
export interface WireRow extends Omit<TaskSummary, "version"> {
  message: string | null;
  waiting: Waiting | null;
  submittedBy: string | null;
  cancelledBy: string | null;
  submissions: number;
  worker: string | null;
}

const ROW = `taskId name input state attempt seq progress message waiting { reason ahead etaSeconds } submittedBy cancelledBy
  submissions worker tags submittedAt startedAt finishedAt expiresAt error { code message type }`;

export const LIST = `query TaskList($first: Int!, $after: String, $where: TaskFilter, $orderBy: TaskOrder) {
  tasks(first: $first, after: $after, where: $where, orderBy: $orderBy) { nodes { ${ROW} } totalCount pageInfo { hasNextPage endCursor } }
}`;

export interface ListPage {
  tasks: { nodes: WireRow[]; totalCount: number | null; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}

export const COUNT = `query TaskCount($where: TaskFilter) { tasks(first: 1, where: $where) { totalCount } }`;

export const LIST_CHANGES = `subscription TaskListChanges($where: TaskFilter!, $after: String) {
  tasksChanged(where: $where, after: $after) { cursor reset matches taskId task { ${ROW} } }
}`;

export interface ListChange {
  tasksChanged: { cursor: string; reset: boolean; matches: boolean; taskId: string | null; task: WireRow | null };
}

/** What can be done with tasks, and the states of those that it changes. */
export const ACTIONS = {
  retry: { mutation: "retryTasks", states: ["FAILED", "CANCELLED"], scope: "SUBMIT", label: "Run again", done: "run again" },
  cancel: { mutation: "cancelTasks", states: ["QUEUED", "RUNNING"], scope: "CANCEL", label: "Cancel", done: "cancelled" },
  withdraw: { mutation: "withdrawTasks", states: ["QUEUED", "RUNNING"], scope: "SUBMIT", label: "Withdraw", done: "withdrawn" },
  forget: { mutation: "forgetTasks", states: ["SUCCEEDED", "FAILED", "CANCELLED"], scope: "CANCEL", label: "Forget", done: "forgotten" },
} as const satisfies Record<string, { mutation: string; states: TaskState[]; scope: string; label: string; done: string }>;

export type Action = keyof typeof ACTIONS;

export const bulkOf = (action: Action): string => `mutation Bulk($where: TaskFilter!, $after: String, $dryRun: Boolean) {
  result: ${ACTIONS[action].mutation}(where: $where, after: $after, dryRun: $dryRun) {
    matched done wantedByOthers endCursor hasNextPage refused { code message count }
  }
}`;

export interface BulkPage {
  result: {
    matched: number; done: number; wantedByOthers: number; endCursor: string | null; hasNextPage: boolean;
    refused: { code: string; message: string; count: number }[];
  };
}

export const SCALES = "query TaskScales { taskTypes { name stats { runP95 } } }";

export interface Scales {
  taskTypes: { name: string; stats: { runP95: number | null } | null }[] | null;
}

export const HISTOGRAM = `query TaskHistogram($where: TaskFilter, $buckets: Int!) {
  tasks(first: 1, where: $where) { histogram(buckets: $buckets) { from to count failed } }
}`;

export interface Bucket {
  from: string;
  to: string;
  count: number;
  failed: number;
}

// The operations of the page of a task.
import type { TaskEvent, TaskFailure, TaskState, TaskSummary } from "@dask-graphql/client";
import type { TaskType } from "../api/task-types.ts";

/** The record of a task, without its result. */
export interface TaskRecord extends Omit<TaskSummary, "error"> {
  error: (TaskFailure & { traceback: string | null }) | null;
  submissions: number;
  submittedBy: string | null;
  cancelledBy: string | null;
  worker: string | null;
  /** Of all runs whose events are kept. */
  attempts: AttemptRecord[];
  /** How often it runs again after an error. */
  retries: number;
  /** The same input under other versions of the task type. */
  otherVersions: { taskId: string; version: string; state: TaskState; submittedAt: string }[];
}

/** Another task, as the family of a task shows it. */
export interface Relative {
  taskId: string;
  name: string;
  input: unknown;
  state: TaskState;
  submittedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface Child extends Relative {
  childCount: number;
}

/** What a task has submitted, and what has submitted it. */
export interface Family {
  childCount: number;
  children: Child[];
  parents: Relative[];
}

const RELATIVE = "taskId name input state submittedAt startedAt finishedAt";

/** Its children, as many as fit on the page. */
export const READ_FAMILY = `query Family($taskId: ID!, $first: Int!) {
  task(taskId: $taskId) { childCount children(first: $first) { ${RELATIVE} childCount } parents { ${RELATIVE} } }
}`;

/** The children of a child, when it is unfolded. */
export const READ_CHILDREN = `query Children($taskId: ID!, $first: Int!) {
  task(taskId: $taskId) { childCount children(first: $first) { ${RELATIVE} childCount } }
}`;

export interface AttemptRecord {
  /** Through all runs. */
  number: number;
  worker: string | null;
  startedAt: string | null;
  endedAt: string | null;
  end: TaskEvent["kind"] | null;
  reason: string | null;
}

/** With the result, or what there is of it; null if there is none. */
export interface TaskWithResult extends TaskRecord {
  result?: Fields | null;
}

export type Fields = Record<string, unknown>;

const RECORD = `taskId name input state attempt seq progress submittedAt startedAt finishedAt error { code message type traceback }
  version submissions submittedBy cancelledBy worker tags expiresAt
  attempts { number worker startedAt endedAt end reason } retries otherVersions { taskId version state submittedAt }`;

const selected = ({ outputType, selection }: TaskType): string => `{ ... on ${outputType} { ${selection} } }`;

export const READ_TASK = `query Read($taskId: ID!) { task(taskId: $taskId) { ${RECORD} } }`;

/** Tells when a task is submitted, submitted again, or forgotten. */
export const WATCH = `subscription Watch($taskId: ID!) {
  tasksChanged(where: { ids: [$taskId] }) { reset seq task { seq } }
}`;

/** The final record with its whole result; without the result if the api no longer has the task type. */
export const finalOf = (type: TaskType | undefined): string => `subscription Result($taskId: ID!) {
  taskResult(taskId: $taskId) { ${RECORD} ${type ? `result ${selected(type)}` : ""} }
}`;

/** The result of the run before, of a task that is computed again; null if there is none. */
export const earlierOf = (type: TaskType): string => `query Earlier($taskId: ID!) {
  task(taskId: $taskId) { seq result ${selected(type)} }
}`;

/** The partial result of a running task, each time that it changes; nothing once the task has ended. */
export const partialOf = (type: TaskType): string => `subscription Partial($taskId: ID!, $afterSeq: Int!) {
  taskEvents(taskId: $taskId, afterSeq: $afterSeq) { task { partial ${selected(type)} } }
}`;

export const RETRY = "mutation Retry($taskId: ID!) { submission: retryTask(taskId: $taskId) { taskId outcome } }";

export const CANCEL = "mutation Cancel($taskId: ID!) { cancelTask(taskId: $taskId) { taskId } }";

export const WITHDRAW = "mutation Withdraw($taskId: ID!) { withdrawTask(taskId: $taskId) { taskId } }";

export const FORGET = "mutation Forget($taskId: ID!) { forgetTask(taskId: $taskId) { taskId } }";

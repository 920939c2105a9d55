// The operations of the audit log and of what accounts use.

export const ACTIONS = {
  SUBMIT: "Submitted", JOIN: "Joined a task that was there", RECOMPUTE: "Ran again", CANCEL: "Cancelled", WITHDRAW: "Withdrew", FORGET: "Deleted",
  PRIORITY_SET: "Changed the priority", UPLOAD: "Uploaded", KEY_CREATED: "Created a key", KEY_REVOKED: "Revoked a key",
  TOKEN_CREATED: "Created a token", TOKENS_REVOKED: "Revoked tokens", TENANT_SET: "Changed a tenant", TENANT_REMOVED: "Removed a tenant",
  TYPE_PAUSED: "Paused a task type", TYPE_RESUMED: "Resumed a task type", WORKER_DRAINED: "Retired a worker",
  WEBHOOK_CREATED: "Created a webhook", WEBHOOK_ENABLED: "Enabled a webhook", WEBHOOK_DELETED: "Deleted a webhook",
  WEBHOOK_SECRET_ROTATED: "Renewed a webhook's secret", WEBHOOK_REDELIVERED: "Sent a webhook again",
  SCHEDULE_SET: "Set a schedule", SCHEDULE_DELETED: "Deleted a schedule", SCHEDULE_PAUSED: "Paused a schedule",
  SCHEDULE_RESUMED: "Resumed a schedule", REFUSED: "Was refused",
} as const;

export type Action = keyof typeof ACTIONS;

/** An action of a newer api has its own name. */
export const actionWords = (action: string): string => ACTIONS[action as Action] ?? action.toLowerCase().replaceAll("_", " ");

/** What became of a submission. */
const OUTCOMES: Record<string, string> = {
  NEW: "Started", CACHED: "Saved result used", JOINED: "Was under way", RECOMPUTED: "Started again",
};

/** The outcome of a submission in words, and the code of a refusal or the name of a key as it is. */
export const outcomeWords = (code: string | null): string => (code === null ? "" : (OUTCOMES[code] ?? code));

export interface AuditEntry {
  at: string;
  action: string;
  caller: string | null;
  callerId: string | null;
  tenant: string | null;
  address: string | null;
  name: string | null;
  taskIds: string[];
  code: string | null;
  count: number;
}

export interface AuditPageData {
  audit: { edges: { cursor: string; node: AuditEntry }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } | null;
}

export const AUDIT = `query Audit($first: Int!, $after: String, $caller: String, $action: AuditAction, $taskId: ID) {
  audit(first: $first, after: $after, caller: $caller, action: $action, taskId: $taskId) {
    edges { cursor node { at action caller callerId tenant address name taskIds code count } }
    pageInfo { hasNextPage endCursor }
  }
}`;

export interface Usage {
  account: string;
  openTasks: number;
  openTaskLimit: number;
  bytes: string;
  byteLimit: string;
  weight: number;
  maxRunning: number | null;
  submissionsPerMinute: number | null;
  operationsPerMinute: number | null;
}

const USED = "account openTasks openTaskLimit bytes byteLimit weight maxRunning submissionsPerMinute operationsPerMinute";

export const USAGE = `query Usage { usage { ${USED} } }`;

export const ALL_USAGE = `query AllUsage { allUsage(first: 100) { ${USED} } }`;

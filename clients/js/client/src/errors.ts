// What the client throws: one base class, and one class for each case that a caller may handle differently.
import type { ErrorCode, ErrorExtensions, OtherCode, TaskErrorCode } from "./error-codes.ts";
import type { TaskRecord } from "./records.ts";

/** Everything that this package throws, apart from the reason of an `AbortSignal` and TypeErrors of wrong arguments. */
export class DaskGraphQLError extends Error {
  override name = "DaskGraphQLError";
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The api refused a request; repeating it unchanged would not help, unless `retryAfterSeconds` says when it would. */
export class Refused extends DaskGraphQLError {
  override name = "Refused";
  /** One of docs/errors.md, or `HTTP_<status>` or `SOCKET_<close code>` if the response had none. */
  declare readonly code: ErrorCode | `HTTP_${number}` | `SOCKET_${number}` | OtherCode;
  /** The path of the invalid argument in GraphQL names: `place.yAxis`, `items[1]`. */
  readonly argument: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** All that the api says, such as `limit` or `scope`. */
  readonly extensions: Readonly<Omit<ErrorExtensions, "code"> & Record<string, unknown>>;

  constructor(code: Refused["code"], message: string, extensions: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, options);
    this.extensions = extensions;
    this.argument = typeof extensions["argument"] === "string" ? extensions["argument"] : undefined;
    this.retryAfterSeconds = typeof extensions["retryAfterSeconds"] === "number" ? extensions["retryAfterSeconds"] : undefined;
  }
}

/** There was no response: the api is away, the network is, or the browser withheld the response (CORS). */
export class Unreachable extends DaskGraphQLError {
  override name = "Unreachable";
  declare readonly code: "UNREACHABLE";

  constructor(message: string, options?: ErrorOptions) {
    super("UNREACHABLE", message, options);
  }
}

/** A task that was waited for ended as FAILED or CANCELLED. */
export class TaskFailed extends DaskGraphQLError {
  override name = "TaskFailed";
  declare readonly code: TaskErrorCode | OtherCode;
  readonly task: TaskRecord;

  constructor(task: TaskRecord) {
    super(task.error?.code ?? task.state, task.error?.message ?? `the task ended as ${task.state}`);
    this.task = task;
  }
}

/** A GraphQL error as it is on the wire. */
export interface GraphQLErrorLike {
  message: string;
  path?: readonly (string | number)[];
  extensions?: Record<string, unknown>;
}

/** The refusal that a GraphQL error tells. */
export function refusedBy(error: GraphQLErrorLike, fallback: Refused["code"] = "INTERNAL"): Refused {
  const { code, ...details } = error.extensions ?? {};
  return new Refused(typeof code === "string" ? code : fallback, error.message, details);
}

// The client: submissions, results, events, logs and files of one api.
import { CATALOGUE, Catalogue, recordOf, runOf, submissionOf, type TaskType } from "./catalogue.ts";
import { Connection, type ConnectionState } from "./connection.ts";
import { Credential, type GetToken } from "./credential.ts";
import { type DocumentLike, textOf, type TypedDocument } from "./document.ts";
import { DaskGraphQLError, Refused, TaskFailed } from "./errors.ts";
import { Http } from "./http.ts";
import { inputOf } from "./input.ts";
import {
  isFinal, type LogLine, type Submission, type SubmitOptions, SUMMARY, type TaskChange, type TaskEvent, type TaskFilter, type TaskRecord, type TaskState, type TaskSummary, type Waiting,
} from "./records.ts";
import { preImage, hashId } from "./task-id.ts";
import { type Destination, type Uploaded, type UploadOptions, upload } from "./upload.ts";

/** What an application declares of its task types: `{ estimatePi: { input: { samples: number }; output: Estimate } }`. */
export type TaskTypes = Record<string, { input: object; output: unknown }>;

/** Any name, input and output. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyTaskTypes = Record<string, { input: any; output: any }>;

export interface ClientOptions {
  /** The address of the api's GraphQL endpoint, absolute or of the page: `/graphql`. */
  url: string;
  /** That of its WebSocket, if it is another one than `url` with `ws` in place of `http`. */
  socketUrl?: string;
  /** The credential, or a function that returns it, which is asked again when the api has refused it. */
  token?: string | GetToken;
  /** Sent with each HTTP request. */
  headers?: Record<string, string>;
  fetch?: typeof globalThis.fetch;
  /** For a runtime without WebSocket, such as Node 20: that of the package `ws`. */
  webSocketImpl?: unknown;
  /** How long the socket stays open without a subscription, in milliseconds. Default 3,000. */
  idleMilliseconds?: number;
}

export interface Cancellable {
  /** Ends the wait; what was submitted continues. */
  signal?: AbortSignal;
}

export interface RunOptions extends SubmitOptions, Cancellable {
  /** Called with the task after each change. */
  onChange?: (task: TaskProgress) => void;
}

export interface FollowOptions extends Cancellable {
  /** Its task type, if known: this saves a request. */
  name?: string;
  /** Whether to ask while it is QUEUED why, and for how long: one small request in five seconds. */
  waiting?: boolean;
}

/** A task on its way, as `follow` yields it. */
export interface TaskProgress<Output = unknown> {
  taskId: string;
  /** null before it was submitted. */
  state: TaskState | null;
  attempt: number;
  seq: number;
  /** From 0 to 1; null if the attempt has not reported any. */
  progress: number | null;
  /** The latest message of an event: what the task reported, or the reason of a retry. */
  message: string | null;
  /** The latest data that the task reported, any JSON; null if it has reported none. */
  data: unknown;
  /** Why it is QUEUED, with `waiting: true`; null while that is not known, and once it runs. */
  waiting: Waiting | null;
  /** The final record, once the task has ended. */
  final: TaskRecord<Output> | null;
}

export interface TaskPage {
  tasks: TaskSummary[];
  /** Of all pages; null if the filter makes counting expensive. */
  totalCount: number | null;
  /** Pass it as `after` for the next page; null on the last one. */
  endCursor: string | null;
}

export interface TaskQuery {
  /** At most 100; default 20. */
  first?: number;
  after?: string;
  where?: TaskFilter;
  orderBy?: "NEWEST_FIRST" | "OLDEST_FIRST";
}

export class Client<Tasks extends AnyTaskTypes = AnyTaskTypes> {
  private readonly credential: Credential;
  private readonly http: Http;
  private readonly connection: Connection;
  private readonly url: () => string;
  private readonly uploads: Destination;
  private catalogue: Promise<Catalogue> | undefined;

  constructor({ url, socketUrl, token, headers = {}, fetch: send, webSocketImpl, idleMilliseconds = 3000 }: ClientOptions) {
    // Read with the first request: on a server that only renders the page there is none to make it absolute.
    this.url = () => absolute(url);
    this.credential = new Credential(typeof token === "function" ? token : () => token);
    // A function of the window must be called as one.
    this.http = new Http(this.url, this.credential, send ?? ((...request) => globalThis.fetch(...request)), headers);
    const filesUrl = () => new URL("files", this.url()).href;
    this.uploads = { http: this.http, credential: this.credential, url: filesUrl, reachesBlobStore: true };
    this.connection = new Connection(
      () => socketUrl ?? this.url().replace(/^http/, "ws"), this.credential, idleMilliseconds, webSocketImpl,
    );
  }

  /** Executes a query or mutation. @throws Refused, Unreachable */
  request<Data, Variables extends object = Record<string, unknown>>(
    document: string | TypedDocument<Data, Variables>, variables?: Variables, { signal }: Cancellable = {},
  ): Promise<Data> {
    return this.http.request<Data>(textOf(document as DocumentLike), variables, signal);
  }

  /**
   * The items of a subscription, which continues after a lost connection.
   *
   * @param variables a function is called for each connection: it can return the cursor of the last item.
   * @throws Refused
   */
  subscribe<Data, Variables extends object = Record<string, unknown>>(
    document: string | TypedDocument<Data, Variables>, variables?: Variables | (() => Variables), { signal }: Cancellable = {},
  ): AsyncGenerator<Data, void, void> {
    const current = typeof variables === "function" ? variables : () => variables ?? {};
    return this.connection.subscribe<Data>(textOf(document as DocumentLike), current as () => Record<string, unknown>, signal);
  }

  /** The task types that the api serves; asked for once. `refresh` asks again. */
  async taskTypes({ signal, refresh = false }: Cancellable & { refresh?: boolean } = {}): Promise<Catalogue> {
    if (refresh) this.catalogue = undefined;
    this.catalogue ??= this.request<ConstructorParameters<typeof Catalogue>[0]>(CATALOGUE).then(
      (wire) => new Catalogue(wire),
      (reason: unknown) => {
        this.catalogue = undefined;
        throw reason;
      },
    );
    // The question is shared, so one caller's signal must not end it for all.
    return await untilAborted(this.catalogue, signal);
  }

  /**
   * The id that a submission will have.
   *
   * @param input the arguments by their GraphQL names.
   * @param options its run key, if it will have one.
   * @throws DaskGraphQLError `ID_UNKNOWN`: it does not follow from the input alone, so only the api can tell it.
   */
  async taskId<Name extends keyof Tasks & string>(name: Name, input: Tasks[Name]["input"], options: Pick<SubmitOptions, "runKey"> & Cancellable = {}): Promise<string> {
    const type = await this.find(name, options.signal);
    if (!type.idFromInput) throw new DaskGraphQLError("ID_UNKNOWN", `only the api can compute the id of ${name}: it changes the input`);
    const { salt } = await this.taskTypes(options);
    return hashId(preImage(type, inputOf(type, input), salt, options.runKey));
  }

  /**
   * Submits a task and returns at once with its id.
   *
   * @param name the task type's registered name: `estimate_pi`.
   * @param input the arguments by their GraphQL names.
   */
  async submit<Name extends keyof Tasks & string>(
    name: Name, input: Tasks[Name]["input"], { signal, ...options }: SubmitOptions & Cancellable = {},
  ): Promise<Submission> {
    const type = await this.find(name, signal);
    const variables = { ...input, options };
    const { submission } = await this.generated(
      this.request<{ submission: Submission }>(submissionOf(type, input), variables, signal ? { signal } : {}),
    );
    return submission;
  }

  /**
   * Submits a task and waits for its end.
   *
   * In one operation, unless `onChange` or `recompute` is given. After a lost connection it is sent again: it joins the
   * task or has its result; a task that has failed in the meantime runs again.
   *
   * @throws TaskFailed it ended as FAILED or CANCELLED.
   */
  async run<Name extends keyof Tasks & string>(
    name: Name, input: Tasks[Name]["input"], { onChange, signal, ...options }: RunOptions = {},
  ): Promise<TaskRecord<Tasks[Name]["output"]>> {
    const wait = signal ? { signal } : {};
    if (!onChange && !options.recompute) {
      const type = await this.find(name, signal);
      const items = this.connection.subscribe<{ task: WireRecord }>(runOf(type, input), () => ({ ...input, options }), signal);
      const { value } = await this.generated(items.next());
      await items.return();
      if (value) return succeeded(fromWire<Tasks[Name]["output"]>(value.task, type));
    }
    const { taskId } = await this.submit(name, input, { ...options, ...wait });
    if (!onChange) return await this.result(taskId, { name, ...wait });
    let final: TaskRecord | null = null;
    for await (const task of this.follow(taskId, { name, ...wait })) {
      onChange(task);
      final = task.final;
    }
    return succeeded(final!);
  }

  /**
   * Waits for a task's end, whether or not it was submitted yet.
   *
   * @param name its task type, if known: this saves a request.
   * @throws TaskFailed if it ends as FAILED or CANCELLED.
   */
  async result<Output = unknown>(taskId: string, options: { name?: string } & Cancellable = {}): Promise<TaskRecord<Output>> {
    return succeeded(await this.final<Output>(taskId, options));
  }

  /**
   * A task on its way, after each change, until its end; the last item has the final record.
   *
   * It continues after a lost connection, without gaps or repetitions, and may begin before the task is submitted.
   */
  async *follow<Output = unknown>(
    taskId: string, { name, waiting: asks = false, signal }: FollowOptions = {},
  ): AsyncGenerator<TaskProgress<Output>, void, void> {
    const wait = signal ? { signal } : {};
    let task: TaskProgress<Output> = {
      taskId, state: null, attempt: 0, seq: 0, progress: null, message: null, data: null, waiting: null, final: null,
    };
    // A generator that waits for its next item cannot be returned, only aborted.
    const stop = new AbortController();
    const events = this.events(taskId, { signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal });
    let next: Promise<IteratorResult<TaskEvent, void>> | undefined;
    let pauseMilliseconds = FIRST_WAITING_MILLISECONDS;
    try {
      for (;;) {
        next ??= events.next();
        const event = await (asks && task.state === "QUEUED" ? this.eventOrWaiting(taskId, next, task.waiting, pauseMilliseconds) : next);
        if ("waiting" in event) {
          pauseMilliseconds = WAITING_MILLISECONDS;
          if (JSON.stringify(event.waiting) === JSON.stringify(task.waiting)) continue;
          task = { ...task, waiting: event.waiting };
        } else {
          if (event.done) break;
          next = undefined;
          pauseMilliseconds = FIRST_WAITING_MILLISECONDS;
          const { attempt, seq, state, message, data } = event.value;
          const progress = event.value.progress ?? (attempt === task.attempt ? task.progress : null);
          const waiting = state === "QUEUED" ? task.waiting : null;
          task = { ...task, attempt, seq, state, progress, waiting, message: message ?? task.message, data: data ?? task.data };
        }
        if (!isFinal(task.state)) yield task;
      }
    } finally {
      next?.catch(() => {});
      stop.abort();
      if (!next) await events.return();
    }
    const final = await this.final<Output>(taskId, { ...(name ? { name } : {}), ...wait });
    yield { ...task, waiting: null, state: final.state, attempt: final.attempt, seq: final.seq, progress: final.progress, final };
  }

  /**
   * Every change of a task after `afterSeq` (default: all that the api keeps), until its end.
   *
   * It continues after a lost connection, without gaps or repetitions.
   */
  async *events(taskId: string, { afterSeq = 0, signal }: { afterSeq?: number } & Cancellable = {}): AsyncGenerator<TaskEvent, void, void> {
    let seen = afterSeq;
    const items = this.connection.subscribe<{ taskEvents: TaskEvent }>(EVENTS, () => ({ taskId, afterSeq: seen }), signal);
    for await (const { taskEvents: event } of items) {
      if (event.seq <= seen) continue;
      seen = event.seq;
      yield event;
    }
  }

  /** What a task prints and logs after the line with the number `after` (default: all that the api keeps), until its end. */
  async *logs(taskId: string, { after = 0, signal }: { after?: number } & Cancellable = {}): AsyncGenerator<LogLine, void, void> {
    let seen = after;
    const items = this.connection.subscribe<{ taskLogs: LogLine }>(LOGS, () => ({ taskId, after: seen }), signal);
    for await (const { taskLogs: line } of items) {
      seen = line.number;
      yield line;
    }
  }

  /** One task, with its result if it has one; null if it was never submitted, or if its record has expired. */
  async task<Output = unknown>(taskId: string, { name, signal }: { name?: string } & Cancellable = {}): Promise<TaskRecord<Output> | null> {
    const wait = signal ? { signal } : {};
    const type = await this.typeOf(taskId, name, signal);
    const { task } = await this.generated(
      this.request<{ task: WireRecord | null }>(`query Task($taskId: ID!) { task(taskId: $taskId) { ${recordOf(type)} } }`, { taskId }, wait),
    );
    return task && fromWire<Output>(task, type);
  }

  /** A page of tasks, newest first. */
  async tasks(query: TaskQuery = {}, { signal }: Cancellable = {}): Promise<TaskPage> {
    const { tasks } = await this.request<{ tasks: WirePage }>(TASKS, { first: 20, ...query }, signal ? { signal } : {});
    const { nodes, totalCount, pageInfo } = tasks;
    return { tasks: nodes, totalCount, endCursor: pageInfo.hasNextPage ? pageInfo.endCursor : null };
  }

  /**
   * Every change of the tasks that a filter means, until it is aborted.
   *
   * Read the list after each item with `reset`: one comes first, unless `after` resumes, and another one after a
   * connection was lost for so long that changes may be missing.
   */
  async *changes(where: TaskFilter = {}, { after = null, signal }: { after?: string | null } & Cancellable = {}): AsyncGenerator<TaskChange, void, void> {
    let cursor = after;
    const items = this.connection.subscribe<{ tasksChanged: TaskChange }>(CHANGES, () => ({ where, after: cursor }), signal);
    for await (const { tasksChanged: change } of items) {
      cursor = change.cursor;
      yield change;
    }
  }

  /** Cancels an open task. @throws Refused FORBIDDEN if other callers submitted it too: `withdraw` is for them. */
  async cancel(taskId: string, { signal }: Cancellable = {}): Promise<void> {
    await this.request("mutation Cancel($taskId: ID!) { cancelTask(taskId: $taskId) { taskId } }", { taskId }, signal ? { signal } : {});
  }

  /** Takes back what the caller submitted; the task continues if somebody else wants it. */
  async withdraw(taskId: string, { signal }: Cancellable = {}): Promise<void> {
    await this.request("mutation Withdraw($taskId: ID!) { withdrawTask(taskId: $taskId) { taskId } }", { taskId }, signal ? { signal } : {});
  }

  /** Sends a file, unless the api has it; its id is the value of a `FileId` argument. */
  async upload(file: Blob, options: UploadOptions = {}): Promise<Uploaded> {
    return await upload(file, options, this.uploads);
  }

  get connectionState(): ConnectionState {
    return this.connection.state;
  }

  /** Calls `listener` after each change of `connectionState`; returns a function that unsubscribes. */
  onConnectionChange(listener: () => void): () => void {
    return this.connection.onChange(listener);
  }

  /** To be called when the caller changed, as after signing in: asks for the token anew, and for what the api serves this caller. */
  reconnect(): void {
    this.catalogue = undefined;
    this.connection.reconnect();
  }

  /** Closes the socket and ends all subscriptions: they throw an AbortError. */
  close(): Promise<void> {
    return this.connection.close();
  }

  private async final<Output>(taskId: string, { name, signal }: { name?: string } & Cancellable): Promise<TaskRecord<Output>> {
    // The type of a task that is not submitted yet is known once it is: then `taskResult` waits for the end of it.
    const type = await this.typeOf(taskId, name, signal);
    const query = `subscription Result($taskId: ID!) { taskResult(taskId: $taskId) { ${recordOf(type)} } }`;
    for await (const { taskResult } of this.connection.subscribe<{ taskResult: WireRecord }>(query, () => ({ taskId }), signal)) {
      if (type || taskResult.state !== "SUCCEEDED") return fromWire(taskResult, type);
    }
    const record = await this.task<Output>(taskId, signal ? { signal } : {});
    if (record && isFinal(record.state)) return record;
    return await this.final(taskId, { ...(record ? { name: record.name } : {}), ...(signal ? { signal } : {}) });
  }

  /** The next event, or if there is none until after the pause, why the task waits. */
  private async eventOrWaiting(
    taskId: string, next: Promise<IteratorResult<TaskEvent, void>>, before: Waiting | null, pauseMilliseconds: number,
  ): Promise<IteratorResult<TaskEvent, void> | { waiting: Waiting | null }> {
    const stop = new AbortController();
    const asked = async () => {
      await pause(pauseMilliseconds, stop.signal);
      try {
        const { task } = await this.request<{ task: { waiting: Waiting | null } | null }>(WAITING, { taskId }, { signal: stop.signal });
        return { waiting: task?.waiting ?? null };
      } catch (reason) {
        // What matters comes as an event.
        if (reason instanceof DaskGraphQLError) return { waiting: before };
        throw reason;
      }
    };
    try {
      const answer = asked();
      answer.catch(() => {});
      return await Promise.race([next, answer]);
    } finally {
      stop.abort();
    }
  }

  private async typeOf(taskId: string, name: string | undefined, signal: AbortSignal | undefined): Promise<TaskType | undefined> {
    const known = name ?? (await this.request<{ task: { name: string } | null }>(NAME, { taskId }, signal ? { signal } : {})).task?.name;
    return known === undefined ? undefined : (await this.taskTypes(signal ? { signal } : {})).find(known);
  }

  /** A task type that was added since the catalogue was read is found too. */
  private async find(name: string, signal: AbortSignal | undefined): Promise<TaskType> {
    const wait = signal ? { signal } : {};
    const type = (await this.taskTypes(wait)).find(name) ?? (await this.taskTypes({ ...wait, refresh: true })).find(name);
    if (type) return type;
    throw new DaskGraphQLError("UNKNOWN_TASK_TYPE", `the api has no task type ${name}; it has ${(await this.taskTypes(wait)).names().join(", ")}`);
  }

  /** Forgets the catalogue if an operation made of it no longer fits the schema. */
  private async generated<Result>(sent: Promise<Result>): Promise<Result> {
    try {
      return await sent;
    } catch (reason) {
      if (reason instanceof Refused && reason.code === "GRAPHQL_VALIDATION_FAILED") this.catalogue = undefined;
      throw reason;
    }
  }
}

const EVENTS = `subscription Events($taskId: ID!, $afterSeq: Int!) {
  taskEvents(taskId: $taskId, afterSeq: $afterSeq) { taskId seq kind state attempt at progress message data }
}`;

const LOGS = `subscription Logs($taskId: ID!, $after: Int) {
  taskLogs(taskId: $taskId, after: $after) { number at attempt dropped level text }
}`;

const CHANGES = `subscription Changes($where: TaskFilter!, $after: String) {
  tasksChanged(where: $where, after: $after) { cursor reset taskId matches kind state stateBefore seq at }
}`;

/** A task that starts at once is not asked about. */
const FIRST_WAITING_MILLISECONDS = 250;
/** Between two questions why a task waits. */
const WAITING_MILLISECONDS = 5_000;

const WAITING = "query Waiting($taskId: ID!) { task(taskId: $taskId) { waiting { reason ahead etaSeconds } } }";

const NAME = "query Name($taskId: ID!) { task(taskId: $taskId) { name } }";

const TASKS = `query Tasks($first: Int, $after: String, $where: TaskFilter, $orderBy: TaskOrder) {
  tasks(first: $first, after: $after, where: $where, orderBy: $orderBy) {
    nodes { ${SUMMARY} }
    totalCount
    pageInfo { hasNextPage endCursor }
  }
}`;

interface WirePage {
  nodes: TaskSummary[];
  totalCount: number | null;
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

type WireRecord = TaskSummary & { result?: Record<string, unknown> | null };

function fromWire<Output>({ result, ...summary }: WireRecord, type: TaskType | undefined): TaskRecord<Output> {
  const output = summary.state === "SUCCEEDED" && result ? (type?.wrapsValue ? result["value"] : result) : null;
  return { ...summary, output: output as Output | null };
}

function succeeded<Output>(task: TaskRecord<Output>): TaskRecord<Output> {
  if (task.state !== "SUCCEEDED") throw new TaskFailed(task);
  return task;
}

function absolute(url: string): string {
  if (/^https?:/.test(url)) return url;
  if (typeof document === "undefined") throw new TypeError(`outside a page the api's address must be absolute (https://...), not ${url}`);
  return new URL(url, document.baseURI).href;
}

/** Never ends if it is aborted. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });

async function untilAborted<Result>(promise: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  signal?.throwIfAborted();
  if (!signal) return await promise;
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** A client of one api; share it, as it has one WebSocket. */
export const createClient = <Tasks extends AnyTaskTypes = AnyTaskTypes>(options: ClientOptions): Client<Tasks> => new Client<Tasks>(options);

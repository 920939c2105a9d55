// Tasks that components watch: each once for all components of a client.
import { type Client, DaskGraphQLError, TaskFailed, type TaskProgress, Unreachable } from "@dask-graphql/client";

/** How long a task stays watched without a component: React mounts twice in StrictMode, and pages replace each other. */
const LINGER_MILLISECONDS = 1000;

/** What a component sees of a task. */
export interface Watched<Output = unknown> extends TaskProgress<Output> {
  /** Why it ended without a result (TaskFailed), or why it cannot be read. */
  error: DaskGraphQLError | null;
}

export const NOTHING: Watched<never> = Object.freeze({
  taskId: "", state: null, attempt: 0, seq: 0, progress: null, message: null, data: null, waiting: null, final: null, error: null,
});

export class Watch {
  current: Watched;
  private readonly listeners = new Set<() => void>();
  private stop: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: Client, private readonly taskId: string, private readonly onEnd: () => void) {
    this.current = { ...NOTHING, taskId };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    clearTimeout(this.timer);
    this.listeners.add(listener);
    if (!this.stop) this.start();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.timer = setTimeout(() => this.end(), LINGER_MILLISECONDS);
    };
  };

  readonly read = (): Watched => this.current;

  /** Follows the task's next run, if this one has ended. */
  restart(): void {
    if (!this.current.final && !this.current.error) return;
    this.stop?.abort();
    this.show({ ...NOTHING, taskId: this.taskId });
    this.start();
  }

  private start(): void {
    const stop = new AbortController();
    this.stop = stop;
    const follow = async () => {
      for await (const task of this.client.follow(this.taskId, { waiting: true, signal: stop.signal })) {
        if (stop.signal.aborted) return;
        const { final } = task;
        this.show({ ...task, error: final && final.state !== "SUCCEEDED" ? new TaskFailed(final) : null });
      }
    };
    follow().catch((reason: unknown) => {
      if (!stop.signal.aborted) this.show({ ...this.current, error: errorOf(reason) });
    });
  }

  private end(): void {
    this.stop?.abort();
    this.onEnd();
  }

  private show(next: Watched): void {
    this.current = next;
    for (const listener of this.listeners) listener();
  }
}

const watches = new WeakMap<Client, Map<string, Watch>>();

/** The watch of a task, which all of a client's components share. */
export function watchOf(client: Client, taskId: string): Watch {
  const ofClient = watches.get(client) ?? new Map<string, Watch>();
  watches.set(client, ofClient);
  const known = ofClient.get(taskId);
  if (known) return known;
  const watch = new Watch(client, taskId, () => ofClient.delete(taskId));
  ofClient.set(taskId, watch);
  return watch;
}

/** What was thrown, as an error with a code. */
export const errorOf = (reason: unknown): DaskGraphQLError =>
  reason instanceof DaskGraphQLError ? reason : new Unreachable(reason instanceof Error ? reason.message : String(reason), { cause: reason });

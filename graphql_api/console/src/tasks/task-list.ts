// The list of tasks that a page shows: pages of the api below each other, kept up to date by the changes that it announces.
import type { TaskFilter } from "@dask-graphql/client";
import { onDisconnect, type Refusal, refusal, subscribe } from "../api/client.ts";
import { LIST_CHANGES, type ListChange, type ListPage, type WireRow } from "./operations.ts";
import { pageReader } from "./read-page.ts";
import { type Change, EMPTY, isOpen, MOST_WAITING, type Row, type Rows, settled, unexpired, withChanges, withPage, withStart } from "./rows.ts";

const PAGE = 100;
/** The first rows are there sooner, and fill a screen. */
const FIRST_PAGE = 50;
/** The api looks at 2,000 records for a page; after so many pages in a row without enough tasks a person decides. */
const MOST_LOOKS = 10;
/** More rows than anybody reads; a list that is open for days stays as small. */
export const MOST_ROWS = 20_000;
/** Changes within this time are shown at once. */
const GATHER_MILLISECONDS = 250;
/** How often the list is read while changes do not arrive: where a proxy lets no WebSocket pass. */
const FALLBACK_MILLISECONDS = 5000;
const EXPIRY_MILLISECONDS = 15_000;
/** After a gap, open tasks below the first page are read again: at most so many. */
const MOST_REREAD = 500;

export interface View {
  rows: Rows;
  /** How many tasks there are; null if only reading all of them would tell. */
  total: number | null;
  /** Whether anything has been read. */
  loaded: boolean;
  /** Whether a page is being read that a person waits for. */
  busy: boolean;
  hasMore: boolean;
  /** Why the latest request failed; the rows stay. */
  reason: Refusal | undefined;
  live: boolean;
  /** More new tasks than are kept: showing them reads the list again. */
  overflow: boolean;
}

export class TaskList {
  view: View = { rows: EMPTY, total: null, loaded: false, busy: true, hasMore: false, reason: undefined, live: false, overflow: false };
  private readonly listeners = new Set<() => void>();
  private readonly gathered = new Map<string, Change>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly readPage = pageReader();
  private endCursor: string | null = null;
  /** Where the changes continue after a lost connection or a hidden tab. */
  private changesCursor: string | undefined;
  private endChanges = () => {};
  private reading: Promise<void> | undefined;
  private held = false;
  private busyMore = false;
  private ended = true;

  constructor(
    private readonly where: TaskFilter, readonly newestFirst: boolean, private readonly rowOf: (wire: WireRow) => Row,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly read = (): View => this.view;

  private show(change: Partial<View>): void {
    if (this.ended) return;
    this.view = { ...this.view, ...change };
    for (const listener of this.listeners) listener();
  }

  /** Reads and follows; returns a function that ends it. */
  start(): () => void {
    this.ended = false;
    const follow = () => (document.visibilityState === "visible" ? this.follow() : this.endChanges());
    const fallback = setInterval(() => !this.view.live && document.visibilityState === "visible" && void this.readStart(), FALLBACK_MILLISECONDS);
    const expiry = setInterval(() => this.held || this.showRows(unexpired(this.view.rows, Date.now())), EXPIRY_MILLISECONDS);
    const stopListening = onDisconnect(() => this.show({ live: false }));
    document.addEventListener("visibilitychange", follow);
    void this.readStart();
    follow();
    return () => {
      this.ended = true;
      clearInterval(fallback);
      clearInterval(expiry);
      clearTimeout(this.timer);
      this.timer = undefined;
      stopListening();
      this.endChanges();
      document.removeEventListener("visibilitychange", follow);
    };
  }

  private showRows(rows: Rows): void {
    if (rows !== this.view.rows) this.show({ rows });
  }

  /** While rows are held, those that are shown stay where they are; new ones wait. */
  hold(held: boolean): void {
    this.held = held;
    if (!held) this.settle();
  }

  /** Shows what waits. */
  settle(): void {
    const { rows, overflow } = this.view;
    if (overflow || rows.shown.length + rows.waiting.size > MOST_ROWS) void this.readAnew();
    else this.showRows(settled(rows, this.newestFirst));
  }

  // Changes.

  private follow(): void {
    this.endChanges();
    const variables = () => ({ where: this.where, ...(this.changesCursor && { after: this.changesCursor }) });
    this.endChanges = subscribe<ListChange>(LIST_CHANGES, variables, {
      error: () => this.show({ live: false }),
      next: ({ tasksChanged: { cursor, reset, taskId, task, matches } }) => {
        this.changesCursor = cursor;
        if (!this.view.live) this.show({ live: true });
        if (reset) void this.readStart().then(() => this.rereadOpen());
        else if (taskId !== null) this.gather({ taskId, row: task ? this.rowOf(task) : undefined, matches });
      },
    });
  }

  private gather(change: Change): void {
    this.gathered.set(change.taskId, change);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.apply([...this.gathered.values()]);
      this.gathered.clear();
    }, GATHER_MILLISECONDS);
  }

  private apply(changes: Change[]): void {
    const { rows, total, hasMore } = this.view;
    const next = withChanges(rows, changes, this.newestFirst, !hasMore);
    if (next.waiting.size > MOST_WAITING) this.show({ rows: { ...next, waiting: rows.waiting }, overflow: true });
    else this.show({ rows: next, total: total === null ? null : Math.max(total, next.shown.length + next.waiting.size) });
    if (!this.held) this.settle();
  }

  // Pages.

  private page(first: number, after: string | null, where: TaskFilter = this.where): Promise<ListPage["tasks"]> {
    return this.readPage({ first, after, where, orderBy: this.newestFirst ? "NEWEST_FIRST" : "OLDEST_FIRST" });
  }

  /** Reads the first page, and puts it above what is loaded. Calls while it is read share the answer. */
  private readStart(): Promise<void> {
    this.reading ??= this.readOnce().finally(() => (this.reading = undefined));
    return this.reading;
  }

  private async readOnce(): Promise<void> {
    try {
      const first = this.view.loaded ? PAGE : FIRST_PAGE;
      const page = await this.page(first, null);
      if (this.ended) return;
      const { rows, joined } = withStart(this.view.rows, page.nodes.map(this.rowOf), this.newestFirst, !page.pageInfo.hasNextPage);
      const replaces = !joined || !page.pageInfo.hasNextPage || this.view.rows.shown.length <= page.nodes.length;
      if (this.view.loaded && this.held && joined) {
        // What is new waits; what is shown is brought up to date.
        const changes = page.nodes.map((wire) => ({ taskId: wire.taskId, row: this.rowOf(wire), matches: true }));
        this.show({ rows: withChanges(this.view.rows, changes, this.newestFirst, !this.view.hasMore), total: page.totalCount, reason: undefined });
        return;
      }
      if (replaces) this.endCursor = page.pageInfo.endCursor;
      this.show({
        rows, total: page.totalCount, loaded: true, busy: false, reason: undefined, overflow: false,
        ...(replaces && { hasMore: page.pageInfo.hasNextPage }),
      });
      if (replaces && page.nodes.length < first && page.pageInfo.hasNextPage) await this.more();
    } catch (reason) {
      this.show({ reason: refusal(reason), busy: false });
    }
  }

  /** Begins again at the first page. */
  async readAnew(): Promise<void> {
    this.gathered.clear();
    this.show({ rows: EMPTY, overflow: false, busy: true, loaded: false });
    await this.readStart();
  }

  /** Tasks that were open before a gap in the changes may have ended. */
  private async rereadOpen(): Promise<void> {
    const { shown } = this.view.rows;
    const open = shown.slice(PAGE).filter(({ state }) => isOpen(state)).slice(0, MOST_REREAD).map(({ taskId }) => taskId);
    for (let at = 0; at < open.length && !this.ended; at += PAGE) {
      const ids = open.slice(at, at + PAGE);
      const { nodes } = await this.page(PAGE, null, { ...this.where, ids } as TaskFilter).catch(() => ({ nodes: undefined }));
      if (!nodes) return;
      const found = new Map(nodes.map((wire) => [wire.taskId, this.rowOf(wire)]));
      this.apply(ids.map((taskId) => ({ taskId, row: found.get(taskId), matches: found.has(taskId) })));
    }
  }

  /** Reads further pages, until there are enough new rows for a screen. */
  readonly more = async (wanted = FIRST_PAGE): Promise<void> => {
    if (this.busyMore || !this.view.hasMore || this.view.rows.shown.length >= MOST_ROWS) return;
    this.busyMore = true;
    const had = this.view.rows.shown.length;
    try {
      for (let looks = 0; looks < MOST_LOOKS && this.view.hasMore && this.view.rows.shown.length - had < wanted && !this.ended; looks += 1) {
        this.show({ busy: true });
        const { nodes, pageInfo } = await this.page(PAGE, this.endCursor);
        this.endCursor = pageInfo.endCursor;
        this.show({ rows: withPage(this.view.rows, nodes.map(this.rowOf)), hasMore: pageInfo.hasNextPage, reason: undefined });
      }
    } catch (reason) {
      this.show({ reason: refusal(reason) });
    } finally {
      this.busyMore = false;
      this.show({ busy: false });
    }
  };
}

// Which ends of tasks a person has not been told of.
import { isFinal, type TaskState } from "@dask-graphql/client";

/** How many ended tasks are remembered, so that a subscription that begins anew announces none twice. */
const MOST_REMEMBERED = 1_000;

/** What one subscription has told of the tasks of a caller since `begun` (milliseconds since 1970). */
export class UnannouncedEnds {
  private readonly open = new Set<string>();
  private readonly announced = new Set<string>();

  constructor(private readonly begun: number) {}

  /** Takes a change of a task; whether it is an end that was not announced: of a task that was open, or an end since `begun`. */
  isNew(task: { taskId: string; state: TaskState; finishedAt?: string | null }): boolean {
    if (!isFinal(task.state)) {
      this.open.add(task.taskId);
      return false;
    }
    // A subscription that begins anew repeats old ends.
    const wasOpen = this.open.delete(task.taskId);
    if (this.announced.has(task.taskId) || !(wasOpen || Date.parse(task.finishedAt ?? "") >= this.begun)) return false;
    this.announced.add(task.taskId);
    const [oldest] = this.announced;
    if (this.announced.size > MOST_REMEMBERED && oldest !== undefined) this.announced.delete(oldest);
    return true;
  }

  /** A task was deleted. */
  forget(taskId: string): void {
    this.open.delete(taskId);
  }
}

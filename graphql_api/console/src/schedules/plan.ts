// What the form of a schedule has in its fields: made from a stored schedule, and read as what the api is asked to set.
import type { Drafts } from "../types/draft.ts";
import type { Schedule } from "./operations.ts";

export const UNITS: [seconds: number, word: string][] = [[86_400, "days"], [3600, "hours"], [60, "minutes"], [1, "seconds"]];

/** A time span as typed, in a unit of UNITS. */
export interface Span {
  amount: string;
  unit: number;
}

/** Everything but the input, which depends on the task type. */
export interface Plan {
  name: string;
  task: string;
  by: "cron" | "interval";
  cron: string;
  every: Span;
  timeZone: string;
  overlap: Schedule["overlap"];
  catchUp: Span;
  /** Members of PLAN_OPTIONS. */
  options: Drafts;
}

/** A number of seconds in the largest unit that keeps it whole. */
export function spanOf(seconds: number): Span {
  const unit = UNITS.find(([size]) => seconds > 0 && seconds % size === 0)?.[0] ?? 1;
  return { amount: String(seconds / unit), unit };
}

/** NaN if no number was typed. */
export const secondsOf = ({ amount, unit }: Span): number => (amount.trim() === "" ? Number.NaN : Number(amount) * unit);

/** @param timeZone of a new one. */
export function planOf(schedule: Schedule | undefined, task: string, timeZone: string): Plan {
  return {
    name: schedule?.name ?? "",
    task: schedule?.task ?? task,
    by: schedule?.everySeconds ? "interval" : "cron",
    cron: schedule?.cron ?? "30 2 * * *",
    every: spanOf(schedule?.everySeconds ?? 3600),
    timeZone: schedule?.timeZone ?? timeZone,
    overlap: schedule?.overlap ?? "SKIP",
    catchUp: spanOf(schedule?.catchUpSeconds ?? 3600),
    options: { priority: String(schedule?.priority ?? 0), tags: schedule?.tags ?? [], ttlSeconds: schedule?.ttlSeconds == null ? "" : String(schedule.ttlSeconds) },
  };
}

/** The variables of SCHEDULE_PREVIEW. */
export function timingOf({ by, cron, every, timeZone }: Plan): { cron: string | null; everySeconds: number | null; timeZone: string } {
  return { cron: by === "cron" ? cron.trim() : null, everySeconds: by === "interval" ? secondsOf(every) : null, timeZone: timeZone.trim() };
}

/** What is wrong with the fields that only the form can judge; the api judges the others. */
export function planProblems({ name, by, every, catchUp }: Plan): Record<string, string> {
  return {
    ...(name.trim() === "" && { name: "Enter a name." }),
    ...(by === "interval" && Number.isNaN(secondsOf(every)) && { everySeconds: "Enter a number." }),
    ...(Number.isNaN(secondsOf(catchUp)) && { "schedule.catchUpSeconds": "Enter a number." }),
  };
}

/** The variable `schedule` of SET. @param options as read of `Plan.options`. */
export function definitionOf(plan: Plan, input: Record<string, unknown>, options: Record<string, unknown>): Record<string, unknown> {
  return {
    task: plan.task, input, ...timingOf(plan), overlap: plan.overlap, catchUpSeconds: secondsOf(plan.catchUp),
    priority: options["priority"] ?? 0, tags: options["tags"] ?? [], ttlSeconds: options["ttlSeconds"] ?? null,
  };
}

// The operations of the page of schedules.

export interface ScheduleRun {
  at: string;
  outcome: "SUBMITTED" | "SKIPPED" | "MISSED";
  taskId: string | null;
}

export interface Schedule {
  name: string;
  task: string;
  cron: string | null;
  everySeconds: number | null;
  timeZone: string;
  overlap: "SKIP" | "ALLOW" | "CANCEL_PREVIOUS";
  pausedAt: string | null;
  nextRuns: string[];
  runs: ScheduleRun[];
  problem: string | null;
}

export const SCHEDULES = `query Schedules {
  schedules { name task cron everySeconds timeZone overlap pausedAt nextRuns(first: 3) runs { at outcome taskId } problem }
}`;

export const PAUSE = "mutation PauseSchedule($name: String!) { pauseSchedule(name: $name) { name } }";
export const RESUME = "mutation ResumeSchedule($name: String!) { resumeSchedule(name: $name) { name } }";
export const RUN = "mutation RunSchedule($name: String!) { runSchedule(name: $name) { taskId } }";

export const OUTCOME_WORDS: Record<ScheduleRun["outcome"], string> = {
  SUBMITTED: "Started", SKIPPED: "Skipped: the one before was open", MISSED: "Missed: too late",
};

/** When a schedule runs: its cron expression with the zone, or its interval. */
export const timing = ({ cron, everySeconds, timeZone }: Schedule): string =>
  cron === null ? `Every ${everySeconds} s` : `${cron} ${timeZone}`;

// The operations of the pages of schedules.
import type { Member } from "../api/task-types.ts";
import { duration } from "../ui/format.ts";

export interface ScheduleRun {
  at: string;
  outcome: "SUBMITTED" | "SKIPPED" | "MISSED";
  taskId: string | null;
}

export interface Schedule {
  name: string;
  task: string;
  /** By the names that `Task.input` has. */
  input: Record<string, unknown>;
  cron: string | null;
  everySeconds: number | null;
  timeZone: string;
  overlap: "SKIP" | "ALLOW" | "CANCEL_PREVIOUS";
  catchUpSeconds: number;
  priority: number;
  tags: string[];
  ttlSeconds: number | null;
  pausedAt: string | null;
  nextRuns: string[];
  runs: ScheduleRun[];
  problem: string | null;
}

const FIELDS = "name task input cron everySeconds timeZone overlap catchUpSeconds priority tags ttlSeconds pausedAt nextRuns(first: 3) runs { at outcome taskId } problem";

export const SCHEDULES = `query Schedules { schedules { ${FIELDS} } }`;
export const SCHEDULE = `query Schedule($name: String!) { schedule(name: $name) { ${FIELDS} } }`;
export const SCHEDULE_PREVIEW = `query SchedulePreview($cron: String, $everySeconds: Float, $timeZone: String!) {
  schedulePreview(cron: $cron, everySeconds: $everySeconds, timeZone: $timeZone)
}`;

export const SET = `mutation SetSchedule($name: String!, $schedule: ScheduleDefinition!) { setSchedule(name: $name, schedule: $schedule) { name } }`;
export const PAUSE = "mutation PauseSchedule($name: String!) { pauseSchedule(name: $name) { name } }";
export const RESUME = "mutation ResumeSchedule($name: String!) { resumeSchedule(name: $name) { name } }";
export const RUN = "mutation RunSchedule($name: String!) { runSchedule(name: $name) { taskId } }";
export const DELETE = "mutation DeleteSchedule($name: String!) { deleteSchedule(name: $name) }";

export const OUTCOME_WORDS: Record<ScheduleRun["outcome"], string> = {
  SUBMITTED: "Started", SKIPPED: "Skipped: the one before was open", MISSED: "Missed: too late",
};

/** What happens to a run, and in a sentence. */
export const OVERLAP_WORDS: Record<Schedule["overlap"], [string, string]> = {
  SKIP: ["Skip the next one", "A run that is due meanwhile is left out."],
  ALLOW: ["Run both", "A run that is due meanwhile starts beside it."],
  CANCEL_PREVIOUS: ["Cancel the one before", "It is withdrawn, and ends unless others want it too."],
};

export const PRESETS: [cron: string, words: string][] = [
  ["0 * * * *", "Every hour"], ["30 2 * * *", "Every night"], ["0 7 * * 1-5", "On weekdays"], ["0 3 1 * *", "Every month"],
];

const option = (name: string, graphqlType: string, description: string): Member => ({
  name, graphqlName: name, graphqlType, description, hasDefault: true, default: null,
});

/** Of its tasks. */
export const PLAN_OPTIONS: Member[] = [
  option("priority", "Int", "From -100 to 100. Tasks with a higher priority run first."),
  option("ttlSeconds", "Float", "How long results are kept, in seconds; none for as long as usual."),
  option("tags", "[String!]", "By which people find them, at most 7."),
];

/** When a schedule runs: its cron expression with the zone, or its interval. */
export const timing = ({ cron, everySeconds, timeZone }: Schedule): string =>
  cron === null ? `Every ${duration((everySeconds ?? 0) * 1000).replace(".0 s", " s")}` : `${cron} ${timeZone}`;

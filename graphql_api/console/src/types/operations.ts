// What the pages of task types ask for beside the catalogue.

/** How often figures are read again. */
export const FIGURES_MILLISECONDS = 20_000;

export interface Figures {
  name: string;
  paused: boolean;
  /** QUEUED or RUNNING. */
  open: number | null;
  stats: { runs: number; failed: number; runP50: number | null } | null;
}

/** Of the last day, of every task type. */
export const FIGURES = `query TypeFigures {
  taskTypes { name paused open stats { runs failed runP50 } }
}`;

export interface Point {
  at: string;
  succeeded: number;
  failed: number;
  cancelled: number;
  runP50: number | null;
  runP95: number | null;
}

export interface Stats {
  runs: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  runP50: number | null;
  runP95: number | null;
  waitP50: number | null;
  waitP95: number | null;
  errors: { code: string; count: number }[];
  history: Point[];
}

export const STATS = `query TypeStats($names: [String!], $seconds: Int!) {
  taskTypes(names: $names) {
    stats(seconds: $seconds) {
      runs succeeded failed cancelled runP50 runP95 waitP50 waitP95
      errors { code count }
      history(points: 48) { at succeeded failed cancelled runP50 runP95 }
    }
  }
}`;

export const PAUSE = "mutation PauseType($name: String!) { pauseTaskType(name: $name) }";
export const RESUME = "mutation ResumeType($name: String!) { resumeTaskType(name: $name) }";

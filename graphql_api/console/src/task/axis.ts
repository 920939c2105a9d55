// The axis of a timeline: round steps between two times.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12, 24, 48, 168].map((hours) => hours * HOUR),
];
const MOST_STEPS = 6;

export interface Axis {
  start: number;
  /** At least a millisecond after `start`. */
  end: number;
  /** Between two ticks, in milliseconds. */
  step: number;
}

export function axisOf(start: number, end: number): Axis {
  const span = Math.max(1, end - start);
  const step = STEPS.find((one) => span / one <= MOST_STEPS) ?? span / MOST_STEPS;
  return { start, end: start + span, step };
}

/** Where a time is on the axis, in percent. */
export const placeOf = ({ start, end }: Axis, time: number): number => Math.max(0, Math.min(100, ((time - start) / (end - start)) * 100));

/** The offsets of the ticks from the start, without one at the very end, where its label would be cut. */
export function ticksOf({ start, end, step }: Axis): number[] {
  const span = end - start;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step).filter((offset) => offset <= span * 0.94);
}

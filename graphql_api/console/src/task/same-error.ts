// Which other tasks failed with the same error: the same message, but for the numbers in it.

export interface FailureGroup {
  key: string;
  message: string;
  count: number;
  newestAt: string | null;
}

/** Of one task type and one code. */
export const SAME_ERROR = `query SameError($names: [String!], $codes: [String!]) {
  failures(where: { names: $names, errorCodes: $codes }, first: 100) { key message count newestAt }
}`;

/** As the api groups failures: numbers, addresses and ids differ between messages of one failure. */
const NUMBERS = /0x[0-9a-fA-F]+|\b[0-9a-f]{12,}\b|\d+/g;
const MOST_CHARACTERS = 500;

const firstLine = (message: string): string => (message.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/, 1)[0] ?? "").slice(0, MOST_CHARACTERS);

const shape = (message: string): string => firstLine(message).replace(NUMBERS, "#");

/** The group that a message belongs to. */
export const groupOf = (message: string, groups: readonly FailureGroup[]): FailureGroup | undefined =>
  groups.find((group) => shape(group.message) === shape(message));

// Where a JSON value has a text.

export type Step = string | number;

export interface Found {
  path: Step[];
  value: unknown;
}

const MOST_FOUND = 100;
/** How many values are looked at: a search answers within a moment. */
const MOST_VALUES = 200_000;

/** @param wanted in lower case. */
export function searchJson(value: unknown, wanted: string): { found: Found[]; more: boolean } {
  const found: Found[] = [];
  const open: Found[] = [{ path: [], value }];
  for (let seen = 0; open.length > 0; seen += 1) {
    if (found.length >= MOST_FOUND || seen >= MOST_VALUES) return { found, more: true };
    const here = open.pop()!;
    const key = here.path.at(-1);
    const plain = typeof here.value !== "object" || here.value === null;
    if ((typeof key === "string" && key.toLowerCase().includes(wanted)) || (plain && String(here.value).toLowerCase().includes(wanted))) found.push(here);
    if (!plain) open.push(...membersOf(here.value as object).map(([step, member]) => ({ path: [...here.path, step], value: member })).reverse());
  }
  return { found, more: false };
}

export const membersOf = (value: object): [Step, unknown][] => (Array.isArray(value) ? value.map((item, index): [Step, unknown] => [index, item]) : Object.entries(value));

/** `importance[0].name`, as JavaScript and jq write it. */
export const pathText = (path: Step[]): string =>
  path.map((step) => (typeof step === "number" ? `[${step}]` : /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`)).join("").replace(/^\./, "");

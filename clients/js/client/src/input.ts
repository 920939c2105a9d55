// The arguments of a submission in the form of the task id's input.
import type { Member, TaskType, UsedType } from "./catalogue.ts";

const SAFE = 2n ** 53n;

/**
 * The input of a task id: the function's names, defaults filled in, an enum's values, long integers as strings.
 *
 * @param given the arguments by their GraphQL names.
 * @throws TypeError an argument is missing, or there is none of this name.
 */
export function inputOf(type: TaskType, given: object): Record<string, unknown> {
  return members(type.name, type.arguments, given as Record<string, unknown>, type.types);
}

function members(owner: string, declared: Member[], given: Record<string, unknown>, types: UsedType[]): Record<string, unknown> {
  const unknown = Object.keys(given).find((name) => !declared.some(({ graphqlName }) => graphqlName === name));
  if (unknown !== undefined) {
    throw new TypeError(`${owner} has no argument ${unknown}; it has ${declared.map(({ graphqlName }) => graphqlName).join(", ")}`);
  }
  const plain: Record<string, unknown> = {};
  for (const { name, graphqlName, graphqlType, hasDefault, default: filledIn } of declared) {
    const value = given[graphqlName];
    if (value === undefined && !hasDefault && graphqlType.endsWith("!")) throw new TypeError(`${owner} needs ${graphqlName}`);
    plain[name] = value === undefined ? (hasDefault ? filledIn : null) : valueOf(value, graphqlType, types);
  }
  return plain;
}

function valueOf(value: unknown, graphqlType: string, types: UsedType[]): unknown {
  if (value === null) return null;
  const bare = graphqlType.replace(/!$/, "");
  if (bare.startsWith("[")) {
    // GraphQL coerces a single item to a list of one.
    return (Array.isArray(value) ? value : [value]).map((item) => valueOf(item, bare.slice(1, -1), types));
  }
  const type = types.find(({ name }) => name === bare);
  if (type?.members.length) return type.members.find(({ name }) => name === value)?.value ?? value;
  if (type) return members(type.name, type.fields, value as Record<string, unknown>, types);
  if (bare === "BigInt") return integer(value);
  if (bare === "JSON") return withLongIntegers(value);
  if (bare === "UUID") return String(value).toLowerCase();
  return value;
}

/** An integer beyond 2^53 arrives at the api as an integer, unless JSON.stringify writes it with an exponent. */
function withLongIntegers(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) > 2 ** 53 && Math.abs(value) < 1e21 ? String(BigInt(value)) : value;
  if (Array.isArray(value)) return value.map(withLongIntegers);
  if (typeof value !== "object" || value === null || "toJSON" in value) return value;
  // Without a prototype, `__proto__` is a name like any other.
  const rewritten = Object.create(null) as Record<string, unknown>;
  for (const [name, item] of Object.entries(value)) rewritten[name] = withLongIntegers(item);
  return rewritten;
}

function integer(value: unknown): unknown {
  try {
    const whole = BigInt(value as string | number | bigint);
    return whole >= -SAFE && whole <= SAFE ? Number(whole) : String(whole);
  } catch {
    return value; // the api's message says best what is wrong
  }
}

// The contents of a form: made from defaults, and read as GraphQL variables and as the task id's input.
import { type Member, shapeOf, type UsedType } from "../api/task-types.ts";
import { jsonFault } from "./json-fault.ts";
import { withSeconds, ZONED, zonedOf, zonedText } from "./zone.ts";

/** Text as typed. undefined: null or omitted. Objects by their members' names. */
export type Draft = string | boolean | undefined | Draft[] | { [name: string]: Draft };

export type Drafts = Record<string, Draft>;

/** Error messages by the path of the value, in GraphQL names. */
export type Problems = Record<string, string>;

const WHOLE = /^[+-]?\d+$/;
const SAFE = 2n ** 53n;
const FILE_ID = /^sha256:[0-9a-f]{64}$/;

/** How given values are written: as in a task id's input, or as in the variables of a request. */
export type Spelling = "plain" | "wire";

/** The drafts of the defaults, or of given values. */
export const draftsOf = (members: Member[], types: UsedType[], given: Record<string, unknown> = {}, spelling: Spelling = "plain"): Drafts =>
  Object.fromEntries(
    members.map(({ name, graphqlName, graphqlType, hasDefault, default: filledIn }) => {
      const key = spelling === "wire" ? graphqlName : name;
      if (key in given) return [name, draftOf(given[key], graphqlType, types, spelling)];
      return [name, hasDefault ? draftOf(filledIn, graphqlType, types) : emptyDraft(graphqlType, types)];
    }),
  );

/** The draft of a field without a default. */
export function emptyDraft(graphqlType: string, types: UsedType[]): Draft {
  const { kind, nullable, name, type } = shapeOf(graphqlType, types);
  if (nullable) return kind === "scalar" && name !== "Boolean" ? "" : undefined;
  if (kind === "list") return [];
  if (kind === "object") return draftsOf(type!.fields, types);
  if (kind === "enum") return type!.members[0]!.name;
  return name === "Boolean" ? false : "";
}

/** The draft of a value. What does not fit its type, as an old link may say, becomes an empty field. */
export function draftOf(value: unknown, graphqlType: string, types: UsedType[], spelling: Spelling = "plain"): Draft {
  if (value === null || value === undefined) return emptyDraft(graphqlType.replace(/!$/, ""), types);
  const { kind, name, type } = shapeOf(graphqlType, types);
  if (kind === "list") return (Array.isArray(value) ? value : [value]).map((item) => draftOf(item, name, types, spelling));
  if (kind === "enum") return type!.members.find((member) => (spelling === "wire" ? member.name : member.value) === value)?.name;
  if (kind === "object") return draftsOf(type!.fields, types, Object(value) as Record<string, unknown>, spelling);
  if (name === "Boolean") return value === true;
  if (name === "JSON") return JSON.stringify(value, null, 1);
  return name === "DateTime" ? zonedText(String(value)) : String(value);
}

interface Reading {
  wire: unknown;
  plain: unknown;
}

/** Reads all members of an object; `place` is its path, empty for the arguments themselves. */
export function readMembers(
  drafts: Drafts, members: Member[], types: UsedType[], problems: Problems, place = "",
): { wire: Record<string, unknown>; plain: Record<string, unknown> } {
  const wire: Record<string, unknown> = {};
  const plain: Record<string, unknown> = {};
  for (const { name, graphqlName, graphqlType, hasDefault, default: filledIn } of members) {
    const path = place ? `${place}.${graphqlName}` : graphqlName;
    const read = readDraft(drafts[name], graphqlType, types, problems, path);
    // An empty optional member is omitted; the api fills in the default, as we do for the id.
    if (read.plain === null && hasDefault) plain[name] = filledIn;
    else {
      wire[graphqlName] = read.wire;
      plain[name] = read.plain;
    }
  }
  return { wire, plain };
}

function readDraft(draft: Draft, graphqlType: string, types: UsedType[], problems: Problems, path: string): Reading {
  const both = (value: unknown): Reading => ({ wire: value, plain: value });
  const { kind, nullable, name, type } = shapeOf(graphqlType, types);
  if (draft === undefined || (draft === "" && nullable)) {
    if (!nullable) problems[path] = kind === "enum" ? "Choose one." : "Enter a value.";
    return both(null);
  }
  if (kind === "list") {
    const items = (draft as Draft[]).map((item, index) => readDraft(item, name, types, problems, `${path}[${index}]`));
    return { wire: items.map(({ wire }) => wire), plain: items.map(({ plain }) => plain) };
  }
  if (kind === "object") return readMembers(draft as Drafts, type!.fields, types, problems, path);
  if (kind === "enum") return { wire: draft, plain: type!.members.find((member) => member.name === draft)?.value };
  if (typeof draft === "boolean") return both(draft);
  try {
    return readScalar(String(draft), name);
  } catch (why) {
    problems[path] = (why as Error).message;
    return both(null);
  }
}

function readScalar(typed: string, name: string): Reading {
  const both = (value: unknown): Reading => ({ wire: value, plain: value });
  if (name === "String") return both(typed);
  const trimmed = typed.trim();
  if (name === "FileId") {
    if (!FILE_ID.test(trimmed)) throw new Error("Choose a file and wait until it is sent, or paste a file id: sha256: and 64 lower-case hex digits.");
    return both(trimmed);
  }
  if (trimmed === "") throw new Error("Enter a value.");
  if (name === "Int") {
    if (!WHOLE.test(trimmed)) throw new Error("Enter a whole number.");
    const value = Number(trimmed);
    if (value < -(2 ** 31) || value >= 2 ** 31) throw new Error("Enter -2,147,483,648 to 2,147,483,647.");
    return both(value);
  }
  if (name === "Float") {
    if (!Number.isFinite(Number(trimmed))) throw new Error("Enter a number.");
    return both(Number(trimmed));
  }
  if (name === "BigInt") {
    const bare = trimmed.replace(/[\s_,]/g, "");
    if (!WHOLE.test(bare)) throw new Error("Enter a whole number.");
    const value = BigInt(bare);
    return { wire: String(value), plain: value >= -SAFE && value <= SAFE ? Number(value) : String(value) };
  }
  if (name === "JSON") return both(readJson(trimmed));
  if (name === "DateTime") return both(ZONED.test(trimmed) ? trimmed : zonedOf(trimmed));
  if (name === "Time") return both(withSeconds(trimmed));
  return both(name === "UUID" ? trimmed.toLowerCase() : trimmed);
}

function readJson(typed: string): unknown {
  try {
    return JSON.parse(typed, (_, value: unknown) => {
      if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) > 2 ** 53) {
        throw new RangeError("Write integers beyond 2^53 as strings: JavaScript cannot represent them exactly.");
      }
      return value;
    });
  } catch (why) {
    throw why instanceof RangeError ? why : new Error(jsonFault(typed));
  }
}

// Links that fill a form: `?n=90` for plain values, `?preset=<base64url of JSON>` for any.
import { API_URL } from "../api/address.ts";
import { address } from "../app/route.ts";
import { argumentsOf, shapeOf, type TaskType } from "../api/task-types.ts";
import { type Drafts, draftsOf } from "./draft.ts";

/** Longer links are cut by chats and mails. */
const LONGEST = 8000;
/** Parameters of the page, whatever a task type calls its arguments. */
const OWN = ["preset", "from"];

/** The drafts that an address asks for; undefined if it asks for none. */
export function presetOf(query: URLSearchParams, type: TaskType): Drafts | undefined {
  const members = argumentsOf(type);
  const given = decoded(query.get("preset"));
  for (const { graphqlName, graphqlType } of members) {
    const text = query.get(graphqlName);
    if (text === null || OWN.includes(graphqlName)) continue;
    const { kind, name } = shapeOf(graphqlType, type.types);
    given[graphqlName] = kind === "list" || kind === "object" || name === "JSON" ? jsonOr(text) : name === "Boolean" ? text === "true" : text;
  }
  return Object.keys(given).length > 0 ? draftsOf(members, type.types, given, "wire") : undefined;
}

/** The link to a form with these values, as they are sent; undefined if it would be too long. */
export function presetLink(type: TaskType, wire: Record<string, unknown>): string | undefined {
  const plain = Object.entries(wire).every(([name, value]) => ["string", "number", "boolean"].includes(typeof value) && value !== "" && !OWN.includes(name));
  const query = plain ? Object.fromEntries(Object.entries(wire).map(([name, value]) => [name, String(value)])) : { preset: encoded(wire) };
  const link = `${API_URL}${address(["types", type.name], query)}`;
  return link.length <= LONGEST ? link : undefined;
}

const encoded = (value: unknown): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

function decoded(text: string | null): Record<string, unknown> {
  if (!text || text.length > LONGEST) return {};
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Not JSON: a text, which the form then refuses with a word at its field. */
function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

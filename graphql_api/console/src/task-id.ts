// The task id, derived from the input as the api does it (docs/wire-format.md has the rule).

/** RFC 8785, which defines numbers, strings and the order of keys (by UTF-16 code units) as in JavaScript. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
}

/** What is hashed. `salt` is the tenant's, if tenants are isolated. */
export const preImage = (task: { name: string; version: string }, input: unknown, salt: string | null): string =>
  canonicalJson({ input, task: task.name, version: task.version, ...(salt ? { salt } : {}) });

/** Browsers compute hashes only for pages from https: and localhost. */
export const CAN_HASH = isSecureContext;

export async function taskId(image: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(image)));
  return Array.from(hash.slice(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The task id, derived from the input as the api does it (docs/wire-format.md has the rule).
import { canonicalJson } from "./canonical-json.ts";
import { hex } from "./hash.ts";
import { Sha256 } from "./sha256.ts";

/** What is hashed into the id of a task. `salt` is the tenant's, if the api keeps tenants apart; `runKey` the submission's. */
export const preImage = (
  task: { name: string; version: string }, input: unknown, salt?: string | null, runKey?: string | null,
): string =>
  canonicalJson({ input, task: task.name, version: task.version, ...(salt ? { salt } : {}), ...(runKey ? { run: runKey } : {}) });

/** The task id: the first 32 hex digits of the pre-image's SHA-256. Works on pages without Web Crypto (http:) too. */
export const hashId = (image: string): string => hex(new Sha256().update(new TextEncoder().encode(image)).digest()).slice(0, 32);

/**
 * The id of a task: of a type's registered name and version, and an input in the form of the task id.
 *
 * @param input the arguments by the function's names, defaults filled in. `client.taskId` takes GraphQL's arguments instead.
 */
export const taskId = (
  name: string, version: string, input: unknown, salt?: string | null, runKey?: string | null,
): string => hashId(preImage({ name, version }, input, salt, runKey));

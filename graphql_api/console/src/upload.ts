// The files of a form: hashed here, and sent unless the api has them.
import { request } from "./api.ts";
import { authorization } from "./key.ts";
import { CAN_HASH } from "./task-id.ts";

/** A browser hashes only what is in memory as a whole; a longer file is sent without asking first. */
const HASHED_BYTES = 256 * 2 ** 20;

const CREATE = `mutation CreateUpload($sha256: String!, $size: BigInt!) {
  createUpload(sha256: $sha256, sizeBytes: $size) { fileId present }
}`;

/** Returns the id of a file, which the api has then; throws what `refusal` understands. */
export async function upload(file: File): Promise<string> {
  if (CAN_HASH && file.size <= HASHED_BYTES) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const { createUpload } = await request<{ createUpload: { fileId: string; present: boolean } }>(CREATE, { sha256, size: String(file.size) });
    if (createUpload.present) return createUpload.fileId;
  }
  const response = await fetch(`/files?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    headers: { "content-type": file.type || "application/octet-stream", ...authorization() },
    body: file,
  });
  const answer: { id?: string; error?: string; code?: string } = await response.json().catch(() => ({}));
  if (answer.id) return answer.id;
  throw { message: answer.error ?? `The api returned the status ${response.status}`, extensions: { code: answer.code } };
}

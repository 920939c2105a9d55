// Sending a file to the api: hash it, ask whether the api has it, and send it if not.
import { API_URL, request } from "./api.ts";
import { authorization } from "./key.ts";
import { CREATE_UPLOAD } from "./operations.ts";
import { CAN_HASH } from "./task-id.ts";

/** A browser can only hash a file as a whole in memory, so the api hashes longer ones as they arrive. */
const MAX_HASHED_BYTES = 256_000_000;
/** The longest name that the api takes, in bytes of UTF-8. */
const MAX_NAME_BYTES = 200;

export interface Uploaded {
  id: string;
  /** The api had the file, so nothing was sent. */
  present: boolean;
}

export type Step = { doing: "hashing" } | { doing: "sending"; sentBytes: number };

/**
 * The id of a file, which the api has after this.
 *
 * Throws an error of the api, a TypeError if it does not respond, or the reason of `signal`.
 */
export async function upload(file: File, onStep: (step: Step) => void, signal: AbortSignal): Promise<Uploaded> {
  const name = shortened(file.name);
  let digest: Uint8Array | undefined;
  if (CAN_HASH && file.size <= MAX_HASHED_BYTES) {
    onStep({ doing: "hashing" });
    digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    signal.throwIfAborted();
    const known = await request<{ createUpload: { fileId: string; present: boolean } }>(CREATE_UPLOAD, {
      sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""),
      sizeBytes: String(file.size),
      mediaType: mediaType(file),
      name,
    });
    signal.throwIfAborted();
    if (known.createUpload.present) return { id: known.createUpload.fileId, present: true };
  }
  return { id: await send(file, name, digest, onStep, signal), present: false };
}

/** By XMLHttpRequest, because `fetch` does not report how much it has sent. */
function send(
  file: File, name: string, digest: Uint8Array | undefined, onStep: (step: Step) => void, signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open("POST", `${API_URL}files?name=${encodeURIComponent(name)}`);
    const headers = {
      ...authorization(),
      "content-type": mediaType(file),
      ...(digest ? { "content-digest": `sha-256=:${btoa(String.fromCharCode(...digest))}:` } : {}),
    };
    for (const [header, value] of Object.entries(headers)) sending.setRequestHeader(header, value);
    sending.upload.onprogress = ({ loaded }) => onStep({ doing: "sending", sentBytes: loaded });
    sending.onload = () => {
      const body = parsed(sending.responseText);
      if (sending.status < 300 && body.id) resolve(body.id);
      else reject({ message: body.error ?? `The api returned the status ${sending.status}`, extensions: { code: body.code } });
    };
    sending.onerror = () => reject(new TypeError("the connection was lost"));
    sending.onabort = () => reject(signal.reason);
    sending.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    onStep({ doing: "sending", sentBytes: 0 });
    sending.send(file);
  });
}

function parsed(text: string): { id?: string; error?: string; code?: string } {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const mediaType = (file: File): string => (/^[!-~]+\/[!-~]+$/.test(file.type) ? file.type : "application/octet-stream");

/** A name as the api takes it: without its beginning if it is too long, so that its suffix stays. */
function shortened(name: string): string {
  let characters = [...name.replace(/[/\\\p{C}\p{Zl}\p{Zp}]/gu, "_")];
  while (new TextEncoder().encode(characters.join("")).length > MAX_NAME_BYTES) characters = characters.slice(1);
  return characters.join("");
}

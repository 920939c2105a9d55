// Sending a file: hash it, ask whether the api has it, and send it if not.
import { authorization, type Credential } from "./credential.ts";
import { Refused, Unreachable } from "./errors.ts";
import { hex, sha256 } from "./hash.ts";
import type { Http } from "./http.ts";

/** The longest name that the api takes, in bytes of UTF-8. */
const MAX_NAME_BYTES = 200;

const CREATE_UPLOAD = `mutation CreateUpload($sha256: String!, $sizeBytes: BigInt!, $mediaType: String, $name: String) {
  createUpload(sha256: $sha256, sizeBytes: $sizeBytes, mediaType: $mediaType, name: $name) { fileId present }
}`;

export interface Uploaded {
  /** `sha256:` and 64 hex digits: the value of a `FileId` argument. */
  id: string;
  /** The api had the file, so nothing was sent. */
  present: boolean;
}

export interface UploadStep {
  doing: "hashing" | "sending";
  doneBytes: number;
  sizeBytes: number;
}

export interface UploadOptions {
  /** Default: the name of a `File`. */
  name?: string;
  /** Default: the type of the `Blob`. */
  mediaType?: string;
  /** While sending, only browsers tell how much was sent. */
  onProgress?: (step: UploadStep) => void;
  signal?: AbortSignal;
}

interface Destination {
  http: Http;
  credential: Credential;
  url: string;
}

interface Sending {
  url: string;
  headers: Record<string, string>;
  onSent: (doneBytes: number) => void;
  signal: AbortSignal | undefined;
}

/** @throws Refused, Unreachable, or the reason of `signal`. */
export async function upload(
  file: Blob, { name = nameOf(file), mediaType = file.type, onProgress, signal }: UploadOptions, { http, credential, url }: Destination,
): Promise<Uploaded> {
  const step = (doing: UploadStep["doing"]) => (doneBytes: number) => onProgress?.({ doing, doneBytes, sizeBytes: file.size });
  const type = /^[!-~]+\/[!-~]+$/.test(mediaType) ? mediaType : "application/octet-stream";
  const kept = shortened(name);
  step("hashing")(0);
  const digest = await sha256(file, step("hashing"), signal);
  const variables = { sha256: hex(digest), sizeBytes: String(file.size), mediaType: type, name: kept };
  const known = await http.request<{ createUpload: { fileId: string; present: boolean } }>(CREATE_UPLOAD, variables, signal);
  if (known.createUpload.present) return { id: known.createUpload.fileId, present: true };
  const headers = { "content-type": type, "content-digest": `sha-256=:${btoa(String.fromCharCode(...digest))}:` };
  const to = kept ? `${url}?name=${encodeURIComponent(kept)}` : url;
  const onSent = step("sending");
  const send = async () => {
    onSent(0);
    const sending = { url: to, headers: { ...headers, ...authorization(await credential.get()) }, onSent, signal };
    return typeof XMLHttpRequest === "undefined" ? await sendByFetch(http, file, sending) : await sendByXhr(file, sending);
  };
  const token = await credential.get();
  try {
    return { id: await send(), present: false };
  } catch (reason) {
    if (!(reason instanceof Refused) || reason.code !== "UNAUTHENTICATED") throw reason;
    await credential.renew(token);
    return { id: await send(), present: false };
  }
}

async function sendByFetch(http: Http, file: Blob, { url, headers, signal }: Sending): Promise<string> {
  const response = await http.exchange(url, { method: "POST", headers, body: file, signal: signal ?? null });
  return idIn(response.status, await response.text());
}

/** `fetch` does not report how much it has sent. */
function sendByXhr(file: Blob, { url, headers, onSent, signal }: Sending): Promise<string> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open("POST", url);
    for (const [header, value] of Object.entries(headers)) sending.setRequestHeader(header, value);
    sending.upload.onprogress = ({ loaded }) => onSent(loaded);
    sending.onload = () => {
      try {
        resolve(idIn(sending.status, sending.responseText));
      } catch (reason) {
        reject(reason as Error);
      }
    };
    sending.onerror = () => reject(new Unreachable("the connection was lost"));
    sending.onabort = () => reject(signal?.reason as Error);
    sending.onloadend = () => signal?.removeEventListener("abort", stop);
    signal?.addEventListener("abort", stop);
    sending.send(file);
  });
}

function idIn(status: number, text: string): string {
  let body: { id?: string; error?: string; code?: string } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // The status tells.
  }
  if (status < 300 && body.id) return body.id;
  const code = status === 401 ? "UNAUTHENTICATED" : (body.code ?? (`HTTP_${status}` as const));
  throw new Refused(code, body.error ?? `the api returned the status ${status}`);
}

const nameOf = (file: Blob): string => ("name" in file ? String(file.name) : "");

/** A name as the api takes it: without its beginning if it is too long, so that its suffix stays. */
function shortened(name: string): string {
  let characters = [...name.replace(/[/\\\p{C}\p{Zl}\p{Zp}]/gu, "_")];
  while (new TextEncoder().encode(characters.join("")).length > MAX_NAME_BYTES) characters = characters.slice(1);
  return characters.join("");
}

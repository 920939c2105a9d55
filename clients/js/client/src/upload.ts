// Sending a file: hash it, ask whether the api has it, and send it if not.
import { authorization, type Credential } from "./credential.ts";
import { Refused, Unreachable } from "./errors.ts";
import { hex, sha256 } from "./hash.ts";
import type { Http } from "./http.ts";

/** The longest name that the api takes, in bytes of UTF-8. */
const MAX_NAME_BYTES = 200;

const CREATE_UPLOAD = `mutation CreateUpload($sha256: String!, $sizeBytes: BigInt!, $mediaType: String, $name: String) {
  createUpload(sha256: $sha256, sizeBytes: $sizeBytes, mediaType: $mediaType, name: $name) {
    fileId present method url headers { name value }
  }
}`;

interface Offer {
  fileId: string;
  present: boolean;
  /** PUT: to the blob store, past the api. */
  method: "POST" | "PUT" | null;
  url: string | null;
  headers: { name: string; value: string }[];
}

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

export interface Destination {
  http: Http;
  credential: Credential;
  url: () => string;
  /** Whether the blob store may be within reach: it may have no CORS rule for the page, or be in another network. */
  reachesBlobStore: boolean;
}

interface Sending {
  method: "POST" | "PUT";
  url: string;
  headers: Record<string, string>;
  onSent: (doneBytes: number) => void;
  signal: AbortSignal | undefined;
}

/** @throws Refused, Unreachable, or the reason of `signal`. */
export async function upload(
  file: Blob, { name = nameOf(file), mediaType = file.type, onProgress, signal }: UploadOptions, destination: Destination,
): Promise<Uploaded> {
  const { http, credential } = destination;
  const step = (doing: UploadStep["doing"]) => (doneBytes: number) => onProgress?.({ doing, doneBytes, sizeBytes: file.size });
  const type = /^[!-~]+\/[!-~]+$/.test(mediaType) ? mediaType : "application/octet-stream";
  const kept = shortened(name);
  step("hashing")(0);
  const digest = await sha256(file, step("hashing"), signal);
  const variables = { sha256: hex(digest), sizeBytes: String(file.size), mediaType: type, name: kept };
  const { createUpload: offer } = await http.request<{ createUpload: Offer }>(CREATE_UPLOAD, variables, signal);
  const { fileId: id } = offer;
  if (offer.present) return { id, present: true };
  const onSent = step("sending");
  if (await sentPastApi(file, offer, destination, onSent, signal)) return { id, present: false };
  const headers = { "content-type": type, "content-digest": `sha-256=:${btoa(String.fromCharCode(...digest))}:` };
  const url = kept ? `${destination.url()}?name=${encodeURIComponent(kept)}` : destination.url();
  const send = async () => {
    onSent(0);
    const sent = await exchange(http, file, {
      method: "POST", url, headers: { ...headers, ...authorization(await credential.get()) }, onSent, signal,
    });
    return idIn(sent.status, sent.text);
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

/** Sends a file to the blob store if the api says so. False if that fails, for whatever reason: the api takes it too. */
async function sentPastApi(
  file: Blob, { method, url, headers }: Offer, destination: Destination, onSent: (doneBytes: number) => void, signal: AbortSignal | undefined,
): Promise<boolean> {
  if (method !== "PUT" || !url || !destination.reachesBlobStore) return false;
  onSent(0);
  // Whoever sends a body sets its length itself, and browsers allow no page to do it.
  const given = headers.filter(({ name }) => name.toLowerCase() !== "content-length").map(({ name, value }) => [name, value]);
  try {
    const { status } = await exchange(destination.http, file, { method, url, headers: Object.fromEntries(given), onSent, signal });
    return status < 300;
  } catch (reason) {
    if (!(reason instanceof Unreachable)) throw reason;
    // Each further file would be sent in vain first.
    destination.reachesBlobStore = false;
    return false;
  }
}

interface Sent {
  status: number;
  text: string;
}

/** @throws Unreachable, or the reason of `signal`. */
const exchange = (http: Http, file: Blob, sending: Sending): Promise<Sent> =>
  typeof XMLHttpRequest === "undefined" ? sendByFetch(http, file, sending) : sendByXhr(file, sending);

async function sendByFetch(http: Http, file: Blob, { method, url, headers, signal }: Sending): Promise<Sent> {
  const response = await http.exchange(url, { method, headers, body: file, signal: signal ?? null });
  return { status: response.status, text: await response.text() };
}

/** `fetch` does not report how much it has sent. */
function sendByXhr(file: Blob, { method, url, headers, onSent, signal }: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open(method, url);
    for (const [header, value] of Object.entries(headers)) sending.setRequestHeader(header, value);
    sending.upload.onprogress = ({ loaded }) => onSent(loaded);
    sending.onload = () => resolve({ status: sending.status, text: sending.responseText });
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

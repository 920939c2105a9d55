// The SHA-256 of files, without keeping the page busy.
import { Sha256 } from "./sha256.ts";

/** Web Crypto hashes off the page's thread, and several times faster than a script, but needs all bytes in memory. */
const WHOLE_BYTES = 64_000_000;
const SLICE_BYTES = 1_000_000;

/** Bytes as hex digits, lower case. */
export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether this runtime has Web Crypto: browsers do for pages from https: and localhost only. */
export const hasWebCrypto = (): boolean => globalThis.crypto?.subtle !== undefined;

export type OnHashed = (hashedBytes: number) => void;

/**
 * The SHA-256 of a file of any size: by Web Crypto, or slice by slice in a worker.
 *
 * Where a worker cannot be started (a Content-Security-Policy, Node), the slices are hashed here, with pauses between them.
 */
export async function sha256(file: Blob, onHashed: OnHashed, signal: AbortSignal | undefined): Promise<Uint8Array> {
  if (hasWebCrypto() && file.size <= WHOLE_BYTES) {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    signal?.throwIfAborted();
    return new Uint8Array(digest);
  }
  return (await inWorker(file, onHashed, signal)) ?? (await inSlices(file, onHashed, signal));
}

export async function inSlices(file: Blob, onHashed: OnHashed, signal?: AbortSignal): Promise<Uint8Array> {
  const hash = new Sha256();
  for (let at = 0; at < file.size; at += SLICE_BYTES) {
    hash.update(new Uint8Array(await file.slice(at, at + SLICE_BYTES).arrayBuffer()));
    signal?.throwIfAborted();
    onHashed(Math.min(file.size, at + SLICE_BYTES));
  }
  return hash.digest();
}

/** What the worker sends. */
export type Hashed = { hashedBytes: number } | { digest: Uint8Array } | { failure: string };

/** undefined if no worker can be started. */
async function inWorker(file: Blob, onHashed: OnHashed, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  if (typeof Worker === "undefined") return undefined;
  let worker: Worker;
  try {
    worker = new Worker(new URL("./hash-worker.js", import.meta.url), { type: "module" });
  } catch {
    return undefined;
  }
  let stop = () => {};
  try {
    return await new Promise<Uint8Array | undefined>((resolve, reject) => {
      stop = () => reject(signal?.reason as Error);
      signal?.addEventListener("abort", stop, { once: true });
      // It could not be loaded.
      worker.onerror = (event) => {
        event.preventDefault();
        resolve(undefined);
      };
      worker.onmessage = ({ data }: MessageEvent<Hashed>) => {
        if ("digest" in data) resolve(data.digest);
        else if ("failure" in data) reject(new Error(`the file cannot be read: ${data.failure}`));
        else onHashed(data.hashedBytes);
      };
      worker.postMessage(file);
    });
  } finally {
    signal?.removeEventListener("abort", stop);
    worker.terminate();
  }
}

// Runs in a worker: hashes the file that it is sent.
import { type Hashed, inSlices } from "./hash.ts";

const tell = (message: Hashed) => postMessage(message);

addEventListener("message", ({ data }: MessageEvent<Blob>) => {
  inSlices(data, (hashedBytes) => tell({ hashedBytes })).then(
    (digest) => tell({ digest }),
    (reason: unknown) => tell({ failure: String(reason) }),
  );
});

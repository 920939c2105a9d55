import type { DaskGraphQLError, UploadStep } from "@dask-graphql/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { useClient } from "./context.tsx";
import { errorOf } from "./watch.ts";

export interface FileUpload {
  /** Sends a file; another one replaces it. Returns its id, undefined if it was replaced, cancelled or refused. */
  upload: (file: Blob) => Promise<string | undefined>;
  file: Blob | null;
  /** What is being done; null before and after. */
  step: UploadStep | null;
  /** From 0 to 1 while it is being sent. */
  progress: number | null;
  /** `sha256:...`, the value of a `FileId` argument. */
  fileId: string | null;
  /** The api had the file, so nothing was sent. */
  present: boolean;
  error: DaskGraphQLError | null;
  cancel: () => void;
}

interface State {
  file: Blob | null;
  step: UploadStep | null;
  fileId: string | null;
  present: boolean;
  error: DaskGraphQLError | null;
}

const NONE: State = { file: null, step: null, fileId: null, present: false, error: null };

/** Sends one file at a time. The upload ends with the component. */
export function useUpload(): FileUpload {
  const client = useClient();
  const [state, setState] = useState(NONE);
  const latest = useRef<AbortController>(undefined);
  useEffect(() => () => latest.current?.abort(), []);

  const upload = useCallback(async (file: Blob) => {
    latest.current?.abort();
    const stop = new AbortController();
    latest.current = stop;
    const show = (change: Partial<State>) => !stop.signal.aborted && setState({ ...NONE, file, ...change });
    show({});
    try {
      const { id, present } = await client.upload(file, { onProgress: (step) => show({ step }), signal: stop.signal });
      show({ fileId: id, present });
      return stop.signal.aborted ? undefined : id;
    } catch (reason) {
      show({ error: errorOf(reason) });
      return undefined;
    }
  }, [client]);

  const cancel = useCallback(() => {
    latest.current?.abort();
    setState(NONE);
  }, []);

  const { step } = state;
  const progress = step?.doing === "sending" && step.sizeBytes > 0 ? Math.min(1, step.doneBytes / step.sizeBytes) : null;
  return { ...state, progress, upload, cancel };
}

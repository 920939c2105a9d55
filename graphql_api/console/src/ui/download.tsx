// Links to the api's downloads.
import { useEffect, useState } from "react";
import { type Refusal, refusal } from "../api/client.ts";
import { apiKey, authorization } from "../api/key.ts";
import { Icon } from "./icon.tsx";
import { RefusalView } from "./parts.tsx";

/** The URL of a download for images and links. They cannot send a header, so with a key the bytes are fetched first. */
export function useDownload(url: string, wanted: boolean): { local: string | undefined; reason: Refusal | undefined } {
  const [fetched, setFetched] = useState<string>();
  const [reason, setReason] = useState<Refusal>();
  const guarded = apiKey() !== "";
  const fetchIt = guarded && wanted;

  useEffect(() => {
    if (!fetchIt) return;
    let made = "";
    let current = true;
    const read = async () => {
      const response = await fetch(url, { headers: authorization() });
      if (!response.ok) throw new Error(`The download returned the status ${response.status} ${response.statusText}`);
      const body = await response.blob();
      if (!current) return;
      made = URL.createObjectURL(body);
      setFetched(made);
    };
    read().catch((why: unknown) => current && setReason(refusal(why)));
    return () => {
      current = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [fetchIt, url]);

  return { local: guarded ? fetched : url, reason };
}

interface DownloadProps {
  url: string;
  /** The name of the saved file. */
  file: string;
  label?: string;
}

export function Download({ url, file, label = file }: DownloadProps) {
  const [wanted, setWanted] = useState(false);
  const { local, reason } = useDownload(url, wanted);
  return (
    <>
      {local ? (
        <a className="btn slim soft" href={local} download={file}><Icon name="download" />Download {label}</a>
      ) : (
        <button type="button" className="btn slim soft" onClick={() => setWanted(true)} disabled={wanted}>Fetch {label}</button>
      )}
      {reason && <RefusalView reason={reason} />}
    </>
  );
}

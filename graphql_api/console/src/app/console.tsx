// The console: for one caller at a time, on one client.
import { DaskGraphQLProvider } from "@dask-graphql/react";
import { StrictMode, useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { client } from "../api/client.ts";
import { onKeyChange } from "../api/key.ts";
import { completeSignIn, identity, keepFresh } from "../people/sign-in.ts";
import "../styles/all.css";
import { apply } from "./preferences.ts";
import { Shell } from "./shell.tsx";

apply();

/** Everything shown belongs to one caller; another one starts over. */
function Session({ refused }: { refused: string | undefined }) {
  const caller = useSyncExternalStore(onKeyChange, identity);
  const [failure, setFailure] = useState(refused);
  useEffect(() => keepFresh(setFailure), []);
  return (
    <DaskGraphQLProvider client={client}>
      <Shell key={caller} failure={caller ? undefined : failure} />
    </DaskGraphQLProvider>
  );
}

const refused = await completeSignIn().then(() => undefined, (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)));
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Session refused={refused} />
  </StrictMode>,
);

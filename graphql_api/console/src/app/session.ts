// Who uses the page, and whether the api answers: shared by the frame and all pages.
import { createContext, use } from "react";
import type { Refusal } from "../api/client.ts";
import type { Catalogue } from "../api/task-types.ts";
import type { ClusterWatch } from "../cluster/watch.ts";

export interface SessionValue {
  catalogue: Catalogue;
  /** The cluster, live. */
  watch: ClusterWatch;
  /** Why the api does not answer now; what is shown is old. */
  reason: Refusal | undefined;
}

export const SessionContext = createContext<SessionValue | undefined>(undefined);

export function useSession(): SessionValue {
  const session = use(SessionContext);
  if (!session) throw new Error("useSession needs a SessionContext above it");
  return session;
}

/** Whether the caller has a scope; what it may not do stays visible, and says why. */
export const useMay = (scope: "SUBMIT" | "PRIORITY" | "READ" | "CANCEL" | "ADMIN"): boolean => {
  const { scopes } = useSession().catalogue.caller;
  return scopes.includes(scope) || scopes.includes("ADMIN");
};

/** Why nothing can be changed now: there is no connection. Undefined also if the caller may not watch the cluster. */
export const useOffline = (): string | undefined => {
  const { reason } = useSession().watch;
  return reason && reason.code === undefined ? "There is no connection to the server" : undefined;
};

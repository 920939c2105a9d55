// Who uses the page, and whether the api answers: shared by the frame and all pages.
import { createContext, use } from "react";
import type { Refusal } from "../api/client.ts";
import type { Catalogue, TaskType } from "../api/task-types.ts";
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

export const useTaskType = (name: string | undefined): TaskType | undefined =>
  useSession().catalogue.taskTypes.find((type) => type.name === name);

/** Whether the caller has a scope; what it may not do stays visible, and says why. */
export const useMay = (scope: "SUBMIT" | "PRIORITY" | "READ" | "CANCEL" | "ADMIN"): boolean => {
  const { scopes } = useSession().catalogue.caller;
  return scopes.includes(scope) || scopes.includes("ADMIN");
};

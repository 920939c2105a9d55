// What the api says of the cluster, as it changes, while the page is visible; and whether there is a connection at all.
import type { TaskState } from "@dask-graphql/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { client, onDisconnect, type Refusal, subscribe, UNAVAILABLE } from "../api/client.ts";
import { onKeyChange } from "../api/key.ts";
import { type Cluster, CLUSTER } from "../api/operations.ts";

/** Seconds until each further try after a lost connection; the last one repeats. */
const PAUSES = [1, 2, 4, 8, 15];

export interface ClusterWatch {
  cluster: Cluster | undefined;
  /** Why there are no updates now; `cluster` keeps the last one. */
  reason: Refusal | undefined;
  /** When the connection was lost, milliseconds since 1970: `cluster` is of that time. */
  lostAt: number | undefined;
  /** When the next try is; undefined while one is under way. */
  nextTryAt: number | undefined;
  tryNow(): void;
}

/** Watches the cluster while the page is visible, whichever part of it is shown. */
export function useCluster(): ClusterWatch {
  const [cluster, setCluster] = useState<Cluster>();
  const [reason, setReason] = useState<Refusal>();
  const [lostAt, setLostAt] = useState<number>();
  const [nextTryAt, setNextTryAt] = useState<number>();
  const watchNow = useRef(() => {});

  useEffect(() => {
    let end = () => {};
    let again: ReturnType<typeof setTimeout> | undefined;
    let tries = 0;
    const fail = (why: Refusal) => {
      end();
      setReason(why);
      setLostAt((before) => before ?? Date.now());
      clearTimeout(again);
      again = undefined;
      // After these only another key helps, whose change calls `watch`.
      if (why.code === "UNAUTHENTICATED" || why.code === "FORBIDDEN" || document.visibilityState !== "visible") return;
      const pause = PAUSES[Math.min(tries, PAUSES.length - 1)]! * 1000;
      tries += 1;
      setNextTryAt(Date.now() + pause);
      again = setTimeout(watch, pause);
    };
    const watch = () => {
      end();
      clearTimeout(again);
      again = undefined;
      setNextTryAt(undefined);
      if (document.visibilityState !== "visible") return;
      end = subscribe<{ clusterChanges: Cluster }>(CLUSTER, {}, {
        error: fail,
        next: ({ clusterChanges }) => {
          tries = 0;
          setCluster(clusterChanges);
          setReason(undefined);
          setLostAt(undefined);
        },
      });
    };
    const afresh = () => {
      tries = 0;
      watch();
    };
    watchNow.current = afresh;
    // Another part of the page may get a socket first.
    const onConnected = () => client.connectionState === "connected" && tries > 0 && watch();
    // While a try is planned, others that fail change nothing.
    const ends = [onDisconnect(() => again === undefined && fail(UNAVAILABLE)), onKeyChange(afresh), client.onConnectionChange(onConnected)];
    document.addEventListener("visibilitychange", afresh);
    watch();
    return () => {
      end();
      clearTimeout(again);
      ends.forEach((stop) => stop());
      document.removeEventListener("visibilitychange", afresh);
    };
  }, []);
  const tryNow = useCallback(() => watchNow.current(), []);
  return { cluster, reason, lostAt, nextTryAt, tryNow };
}

export const inState = (cluster: Cluster, wanted: TaskState): number => cluster.tasks.find(({ state }) => state === wanted)?.count ?? 0;

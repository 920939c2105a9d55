// What the api says of the cluster, as it changes, while the page is visible.
import { isFinal, type TaskState } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { onDisconnect, type Refusal, subscribe, UNAVAILABLE } from "../api/client.ts";
import { onKeyChange } from "../api/key.ts";
import { type Cluster, CLUSTER } from "../api/operations.ts";

const RETRY_MILLISECONDS = 5000;
const SAMPLE_MILLISECONDS = 2000;
/** Ten minutes. */
const KEPT_SAMPLES = 300;

/** One point of the charts. */
export interface Sample {
  at: number;
  workers: number;
  wanted: number | null;
  waiting: number;
  processing: number;
  /** Tasks that have ended and whose records are still kept. */
  ended: number;
}

export interface ClusterWatch {
  cluster: Cluster | undefined;
  /** Why there are no updates now; `cluster` keeps the last one. */
  reason: Refusal | undefined;
  history: Sample[];
}

/** Watches the cluster while the page is visible, whichever part of it is shown. */
export function useCluster(): ClusterWatch {
  const [cluster, setCluster] = useState<Cluster>();
  const [reason, setReason] = useState<Refusal>();
  const [history, setHistory] = useState<Sample[]>([]);
  const latest = useRef<Cluster>(undefined);

  useEffect(() => {
    const fail = (why: Refusal) => {
      latest.current = undefined;
      setReason(why);
    };
    let end = () => {};
    let again: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      end();
      clearTimeout(again);
      latest.current = undefined;
      end = document.visibilityState !== "visible" ? () => {} : subscribe<{ clusterChanges: Cluster }>(CLUSTER, {}, {
        error: (why) => {
          fail(why);
          // After these only another key helps, whose change calls `watch`.
          if (why.code !== "UNAUTHENTICATED" && why.code !== "FORBIDDEN") again = setTimeout(watch, RETRY_MILLISECONDS);
        },
        next: ({ clusterChanges }) => {
          // Add the first one to the charts at once.
          if (!latest.current) setHistory((known) => sampled(known, clusterChanges));
          latest.current = clusterChanges;
          setCluster(clusterChanges);
          setReason(undefined);
        },
      });
    };
    // The subscription delivers changes only: extend the charts while nothing changes.
    const timer = setInterval(() => {
      const cluster = latest.current;
      if (cluster) setHistory((known) => sampled(known, cluster));
    }, SAMPLE_MILLISECONDS);
    const ends = [onDisconnect(() => fail(UNAVAILABLE)), onKeyChange(watch)];
    document.addEventListener("visibilitychange", watch);
    watch();
    return () => {
      end();
      clearTimeout(again);
      clearInterval(timer);
      ends.forEach((stop) => stop());
      document.removeEventListener("visibilitychange", watch);
    };
  }, []);
  return { cluster, reason, history };
}

const sampled = (history: Sample[], cluster: Cluster): Sample[] => [...history, sampleOf(cluster)].slice(-KEPT_SAMPLES);

export const inState = (cluster: Cluster, wanted: TaskState): number => cluster.tasks.find(({ state }) => state === wanted)?.count ?? 0;

const sampleOf = (cluster: Cluster): Sample => ({
  at: Date.now(),
  workers: cluster.workers.length,
  wanted: cluster.fleet?.wanted ?? null,
  waiting: inState(cluster, "QUEUED"),
  processing: inState(cluster, "RUNNING"),
  ended: cluster.tasks.filter(({ state }) => isFinal(state)).reduce((sum, { count }) => sum + count, 0),
});

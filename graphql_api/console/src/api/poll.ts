// Hooks shared by the pages: polling, and the time.
import { useCallback, useEffect, useRef, useState } from "react";
import { type Refusal, refusal, request } from "./client.ts";
import { onKeyChange } from "./key.ts";

const AFTER_FAILURE_MILLISECONDS = 2000;

export interface Poll<Data> {
  data: Data | undefined;
  /** Why the latest request failed; `data` keeps the last response. */
  reason: Refusal | undefined;
  refresh(): void;
}

/** Requests now, and again `milliseconds` after each response, while the page is visible. */
export function usePoll<Data>(query: string, variables: Record<string, unknown>, milliseconds: number): Poll<Data> {
  const [data, setData] = useState<Data>();
  const [reason, setReason] = useState<Refusal>();
  const refreshNow = useRef(() => {});
  const key = JSON.stringify(variables);

  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      let pause = milliseconds;
      if (document.visibilityState === "visible") {
        try {
          const response = await request<Data>(query, JSON.parse(key));
          if (!current) return;
          setData(response);
          setReason(undefined);
        } catch (why) {
          if (!current) return;
          const refused = refusal(why);
          setReason(refused);
          // Only another key helps.
          pause = refused.code === "UNAUTHENTICATED" ? Infinity : Math.min(pause, AFTER_FAILURE_MILLISECONDS);
        }
      }
      clearTimeout(timer);
      if (pause < Infinity) timer = setTimeout(poll, pause);
    };
    refreshNow.current = () => void poll();
    const onVisibilityChange = () => document.visibilityState === "visible" && void poll();
    void poll();
    document.addEventListener("visibilitychange", onVisibilityChange);
    const unsubscribe = onKeyChange(() => void poll());
    return () => {
      current = false;
      unsubscribe();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibilityChange);
    };
  }, [query, key, milliseconds]);

  const refresh = useCallback(() => refreshNow.current(), []);
  return { data, reason, refresh };
}

/** The current time in milliseconds, updated while `running`. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

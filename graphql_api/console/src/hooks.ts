// What pages share: asking again and again, the time, and the route.
import { useCallback, useEffect, useRef, useState } from "react";
import { type Refusal, refusal, request } from "./api.ts";

const AFTER_FAILURE_MILLISECONDS = 2000;

export interface Poll<Data> {
  data: Data | undefined;
  /** Why the newest look failed; the last good answer stays in `data`. */
  reason: Refusal | undefined;
  refresh(): void;
}

/** Asks now, and again `milliseconds` after each answer, while somebody can see the page. */
export function usePoll<Data>(query: string, variables: Record<string, unknown>, milliseconds: number): Poll<Data> {
  const [data, setData] = useState<Data>();
  const [reason, setReason] = useState<Refusal>();
  const look = useRef(() => {});
  const wish = JSON.stringify(variables);

  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      let pause = milliseconds;
      if (document.visibilityState === "visible") {
        try {
          const answer = await request<Data>(query, JSON.parse(wish));
          if (!current) return;
          setData(answer);
          setReason(undefined);
        } catch (why) {
          if (!current) return;
          setReason(refusal(why));
          pause = Math.min(pause, AFTER_FAILURE_MILLISECONDS);
        }
      }
      clearTimeout(timer);
      timer = setTimeout(ask, pause);
    };
    look.current = () => void ask();
    const seen = () => document.visibilityState === "visible" && void ask();
    void ask();
    document.addEventListener("visibilitychange", seen);
    return () => {
      current = false;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [query, wish, milliseconds]);

  const refresh = useCallback(() => look.current(), []);
  return { data, reason, refresh };
}

/** The time in milliseconds, moving on while `running`. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

export interface Route {
  /** The parts of the address behind `#/`: a page, and what it shows. Links into the console are stable. */
  parts: string[];
  /** How it is shown: `#/tasks?state=FAILED`. */
  query: URLSearchParams;
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  // The form of the first version's links, which people may have kept.
  const [path = "", query] = hash.replace(/^#task=/, "#/tasks/").replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean), query: new URLSearchParams(query) };
}

// The two ways to the api: fetch for queries and mutations, one WebSocket for all subscriptions.
import { createClient } from "graphql-ws";
import { authorization, onKeyChange } from "./key.ts";

export const HTTP_URL = "/graphql";

/** The page may be served behind TLS or on any port: the socket goes where the page came from. */
export const SOCKET_URL = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`;

/** What a WebSocket is closed with that showed no good credential; trying again would not help. */
const FORBIDDEN = 4403;

export interface Refusal {
  message: string;
  code: string | undefined;
  /** The argument that does not fit, as the schema spells it: `place.yAxis`, `items[1]`. */
  argument?: string | undefined;
}

interface GraphQLErrorLike {
  message: string;
  extensions?: Record<string, unknown> | undefined;
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** What an operation threw, as text and the api's stable code where it gave one. */
export function refusal(reason: unknown): Refusal {
  const error: unknown = Array.isArray(reason) ? reason[0] : reason;
  if (error instanceof CloseEvent) {
    const code = error.code === FORBIDDEN ? "UNAUTHENTICATED" : undefined;
    return { message: `The connection was closed (${error.code} ${error.reason})`, code };
  }
  // What fetch throws where no answer came at all.
  if (error instanceof TypeError) return { message: "The api does not answer.", code: undefined };
  if (typeof error === "object" && error !== null && "message" in error) {
    const { message, extensions } = error as GraphQLErrorLike;
    return { message, code: text(extensions?.["code"]), argument: text(extensions?.["argument"]) };
  }
  return { message: String(error), code: undefined };
}

/** Runs a query or mutation; throws its first error, or what went wrong on the way. */
export async function request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
  const response = await fetch(HTTP_URL, {
    method: "POST",
    // Of the two media types the one that answers 200 to a refusal too: the body tells it, and no browser logs a fault.
    headers: { "content-type": "application/json", accept: "application/json", ...authorization() },
    body: JSON.stringify({ query, variables }),
  });
  let answer: { data?: Data | null; errors?: GraphQLErrorLike[] };
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The api answered ${response.status} ${response.statusText}`);
  }
  if (answer.errors?.[0]) throw answer.errors[0];
  if (!answer.data) throw new Error(`The api answered ${response.status} without data`);
  return answer.data;
}

const isForbidden = (reason: unknown): boolean => reason instanceof CloseEvent && reason.code === FORBIDDEN;

const losses = new Set<() => void>();

/** Calls back whenever the connection of the subscriptions is lost, but for a bad credential; returns what ends that. */
export function onLoss(listener: () => void): () => void {
  losses.add(listener);
  return () => losses.delete(listener);
}

// The api may restart while the page is open: retry for as long as it stays open, at most 5 s apart. A retry subscribes
// again, so a reader of events sees the first ones twice and tells them apart by `seq`.
const socket = createClient({
  url: SOCKET_URL,
  connectionParams: authorization,
  on: {
    closed: (event) => {
      if (!isForbidden(event)) losses.forEach((listener) => listener());
    },
  },
  // One socket for task after task.
  lazyCloseTimeout: 10_000,
  keepAlive: 20_000,
  retryAttempts: Infinity,
  shouldRetry: (reason) => !isForbidden(reason),
  retryWait: (retries) => new Promise((wake) => setTimeout(wake, Math.min(5000, 300 * 2 ** retries) * (0.75 + Math.random() / 2))),
});

// Who the socket speaks for is settled when it opens.
onKeyChange(() => socket.terminate());

/** Subscribes; returns what ends the subscription. */
export function subscribe<Data>(
  query: string,
  variables: Record<string, unknown>,
  on: { next(data: Data): void; error(reason: Refusal): void },
): () => void {
  return socket.subscribe<Data>(
    { query, variables },
    {
      next: ({ data, errors }) => {
        if (errors?.[0]) on.error(refusal(errors[0]));
        else if (data) on.next(data);
      },
      error: (reason) => on.error(refusal(reason)),
      complete: () => undefined,
    },
  );
}

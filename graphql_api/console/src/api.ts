// Access to the api: fetch for queries and mutations, one WebSocket for all subscriptions.
import { createClient } from "graphql-ws";
import { authorization, onKeyChange } from "./key.ts";

/** Where the api is: the folder of this page, at the page's own origin and under any path that a proxy gives it. */
export const API_URL = new URL("./", location.href).href;

export const HTTP_URL = `${API_URL}graphql`;

export const SOCKET_URL = HTTP_URL.replace(/^http/, "ws");

/** Close code of a WebSocket without a valid credential; a retry would not help. */
const FORBIDDEN = 4403;

export interface Refusal {
  message: string;
  code: string | undefined;
  /** Path of the invalid argument in GraphQL names: `place.yAxis`, `items[1]`. */
  argument?: string | undefined;
}

interface GraphQLErrorLike {
  message: string;
  extensions?: Record<string, unknown> | undefined;
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** The message of what an operation threw, with the api's stable code if it has one. */
export function refusal(reason: unknown): Refusal {
  const error: unknown = Array.isArray(reason) ? reason[0] : reason;
  if (error instanceof CloseEvent) {
    const code = error.code === FORBIDDEN ? "UNAUTHENTICATED" : undefined;
    return { message: `The connection was closed (${error.code} ${error.reason})`, code };
  }
  // fetch throws this if there was no response at all.
  if (error instanceof TypeError) return { message: "The api does not respond.", code: undefined };
  if (typeof error === "object" && error !== null && "message" in error) {
    const { message, extensions } = error as GraphQLErrorLike;
    return { message, code: text(extensions?.["code"]), argument: text(extensions?.["argument"]) };
  }
  return { message: String(error), code: undefined };
}

/** Executes a query or mutation; throws its first error, or the error of the connection. */
export async function request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
  const response = await fetch(HTTP_URL, {
    method: "POST",
    // With this media type a refusal has the status 200 too, so that browsers do not log it as a network error.
    headers: { "content-type": "application/json", accept: "application/json", ...authorization() },
    body: JSON.stringify({ query, variables }),
  });
  let body: { data?: Data | null; errors?: GraphQLErrorLike[] };
  try {
    body = await response.json();
  } catch {
    throw new Error(`The api returned the status ${response.status} ${response.statusText}`);
  }
  if (body.errors?.[0]) throw body.errors[0];
  if (!body.data) throw new Error(`The api returned the status ${response.status} without data`);
  return body.data;
}

const isForbidden = (reason: unknown): boolean => reason instanceof CloseEvent && reason.code === FORBIDDEN;

const disconnectListeners = new Set<() => void>();

/** Calls `listener` whenever the WebSocket is lost, except for a bad credential; returns a function that unsubscribes. */
export function onDisconnect(listener: () => void): () => void {
  disconnectListeners.add(listener);
  return () => disconnectListeners.delete(listener);
}

// The api may restart while the page is open: retry as long as the page is open, at most 5 s apart. A retry subscribes
// again, so readers of events receive the first ones twice and drop duplicates by `seq`.
const socket = createClient({
  url: SOCKET_URL,
  connectionParams: authorization,
  on: {
    closed: (event) => {
      if (!isForbidden(event)) disconnectListeners.forEach((listener) => listener());
    },
  },
  // Reuse one socket for one task after another.
  lazyCloseTimeout: 10_000,
  keepAlive: 20_000,
  retryAttempts: Infinity,
  shouldRetry: (reason) => !isForbidden(reason),
  retryWait: (retries) => new Promise((wake) => setTimeout(wake, Math.min(5000, 300 * 2 ** retries) * (0.75 + Math.random() / 2))),
});

// A socket's caller is determined when it opens.
onKeyChange(() => socket.terminate());

/** Subscribes; returns a function that ends the subscription. */
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

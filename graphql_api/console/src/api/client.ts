// Access to the api: one client for the whole page.
import { createClient, DaskGraphQLError, Unreachable } from "@dask-graphql/client";
import { HTTP_URL } from "./address.ts";
import { apiKey, onKeyChange } from "./key.ts";

/** Its socket is reused for one task after another. */
export const client = createClient({ url: HTTP_URL, token: apiKey, idleMilliseconds: 10_000 });

// A socket's caller is determined when it opens.
onKeyChange(() => client.reconnect());

export interface Refusal {
  message: string;
  code: string | undefined;
  /** Path of the invalid argument in GraphQL names: `place.yAxis`, `items[1]`. */
  argument?: string | undefined;
}

export const UNAVAILABLE: Refusal = { message: "The api does not respond.", code: undefined };

/** The message of what an operation threw, with the api's stable code if it has one. */
export function refusal(reason: unknown): Refusal {
  if (reason instanceof Unreachable) return UNAVAILABLE;
  if (!(reason instanceof DaskGraphQLError)) return { message: reason instanceof Error ? reason.message : String(reason), code: undefined };
  const argument = "argument" in reason ? (reason.argument as string | undefined) : undefined;
  return { message: reason.message, code: /^HTTP_/.test(reason.code) ? undefined : reason.code, argument };
}

/** Executes a query or mutation. */
export const request = <Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> => client.request<Data>(query, variables);

/** Calls `listener` whenever the WebSocket is lost, except for a bad credential; returns a function that unsubscribes. */
export const onDisconnect = (listener: () => void): (() => void) =>
  client.onConnectionChange(() => client.connectionState === "lost" && listener());

/** Hands each item of `items` on; returns a function that ends it. `items` gets the signal that it then follows. */
export function deliver<Item>(
  items: (signal: AbortSignal) => AsyncIterable<Item>, on: { next(item: Item): void; error(reason: Refusal): void },
): () => void {
  const stop = new AbortController();
  const read = async () => {
    for await (const item of items(stop.signal)) if (!stop.signal.aborted) on.next(item);
  };
  read().catch((reason: unknown) => stop.signal.aborted || on.error(refusal(reason)));
  return () => stop.abort();
}

/**
 * Subscribes; returns a function that ends the subscription.
 *
 * @param variables a function is called for each connection: it can continue after the last item.
 */
export const subscribe = <Data>(
  query: string, variables: Record<string, unknown> | (() => Record<string, unknown>),
  on: { next(data: Data): void; error(reason: Refusal): void },
): (() => void) => deliver((signal) => client.subscribe<Data>(query, variables, { signal }), on);

// Subscriptions over one WebSocket, which outlive it: each continues on the next one where it was.
import { type Client, createClient, type FormattedExecutionResult } from "graphql-ws/client";
import { authorization, type Credential, type Token, unauthenticated } from "./credential.ts";
import { type GraphQLErrorLike, refusedBy, Refused } from "./errors.ts";
import { wireValue } from "./http.ts";

const FORBIDDEN = 4403;
/** Closes after which another try would end alike (docs/wire-format.md). */
const FATAL = new Set([4400, 4401, 4406, 4409, 4429, 4500]);
const FIRST_PAUSE_MILLISECONDS = 300;
const LONGEST_PAUSE_MILLISECONDS = 5000;
const PING_MILLISECONDS = 20_000;

/**
 * - `idle`: no subscription needs a socket.
 * - `lost`: the socket was closed, or cannot be opened; subscriptions wait and try again.
 * - `refused`: the api refused the credential.
 */
export type ConnectionState = "idle" | "connecting" | "connected" | "lost" | "refused";

export class Connection {
  state: ConnectionState = "idle";
  private readonly listeners = new Set<() => void>();
  private opened: Client | undefined;
  /** How many sockets the api has accepted: tells whether a token was ever good. */
  private accepted = 0;
  private readonly ended = new AbortController();

  constructor(
    private readonly url: () => string,
    private readonly credential: Credential,
    private readonly lazyCloseTimeout: number,
    private readonly webSocketImpl: unknown,
  ) {}

  /** Made for the first subscription: a page that is rendered on a server makes its client there too, and needs no socket. */
  private get socket(): Client {
    return (this.opened ??= this.made());
  }

  private made(): Client {
    const { credential, lazyCloseTimeout, webSocketImpl } = this;
    if (!webSocketImpl && typeof WebSocket === "undefined") {
      throw new TypeError("this runtime has no WebSocket (Node has one from version 22 on): pass webSocketImpl, such as that of the package ws");
    }
    return createClient({
      url: this.url(),
      connectionParams: () => authorization(credential.current),
      lazyCloseTimeout,
      keepAlive: PING_MILLISECONDS,
      // A retry of graphql-ws would repeat the variables of the first request, and so what was delivered: `subscribe` retries.
      retryAttempts: 0,
      jsonMessageReplacer: wireValue,
      webSocketImpl: webSocketImpl ?? closing(WebSocket),
      on: {
        connecting: () => this.change("connecting"),
        connected: () => {
          this.accepted += 1;
          this.change("connected");
        },
        closed: (event) => {
          const code = closeCode(event);
          this.change(code === 1000 ? "idle" : code === FORBIDDEN ? "refused" : "lost");
        },
      },
    });
  }

  /** Calls `listener` after each change of `state`; returns a function that unsubscribes. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /**
   * The items of a subscription; it completes when the api completes it.
   *
   * After a lost connection it subscribes again, without limit, at most 5 s apart, with what `variables` returns then: so a
   * cursor that it reads continues where the last item was. A refused token is renewed once for each connection.
   *
   * @throws Refused the api refused the operation or the credential.
   * @throws TypeError this runtime has no WebSocket, or no page that the api's address is relative to.
   */
  async *subscribe<Data>(query: string, variables: () => Record<string, unknown>, signal?: AbortSignal): AsyncGenerator<Data, void, void> {
    const stop = signal ? AbortSignal.any([signal, this.ended.signal]) : this.ended.signal;
    const { socket } = this;
    let failures = 0;
    let refusedAt: number | undefined;
    for (;;) {
      stop.throwIfAborted();
      const token = await this.credential.get();
      try {
        for await (const data of this.once<Data>(socket, query, variables(), stop)) {
          failures = 0;
          yield data;
        }
        return;
      } catch (reason) {
        stop.throwIfAborted();
        const code = closeCode(reason);
        if (reason instanceof Refused && reason.code !== "UNAUTHENTICATED") throw reason;
        if (code !== undefined && FATAL.has(code)) throw new Refused(`SOCKET_${code}`, closeReason(reason), {}, { cause: reason });
        if (code === FORBIDDEN || reason instanceof Refused) {
          refusedAt = await this.renew(token, refusedAt);
          continue;
        }
      }
      await pause(failures, stop);
      failures += 1;
    }
  }

  /** Closes the socket; operations continue on another one, with the token as it is then. */
  reconnect(): void {
    this.credential.forget();
    this.opened?.terminate();
  }

  /** Ends all operations: they throw an AbortError. */
  async close(): Promise<void> {
    this.ended.abort(new DOMException("the client was closed", "AbortError"));
    // It waits for a socket that is being opened, which may fail.
    await Promise.resolve(this.opened?.dispose()).catch(() => undefined);
  }

  /** Renews the token, unless no socket was accepted since the last time: then the new one was refused too. */
  private async renew(token: Token, refusedAt: number | undefined): Promise<number> {
    if (refusedAt === this.accepted) throw unauthenticated("the api did not accept the renewed credential either");
    await this.credential.renew(token);
    return this.accepted;
  }

  /** The items until the socket is lost. Ends at once when `stop` does, even while the socket is being opened. */
  private async *once<Data>(
    socket: Client, query: string, variables: Record<string, unknown>, stop: AbortSignal,
  ): AsyncGenerator<Data, void, void> {
    const arrived: FormattedExecutionResult<Data, unknown>[] = [];
    let outcome: { reason: unknown } | undefined;
    let wake = () => {};
    const settle = (reason?: unknown) => {
      outcome ??= { reason };
      wake();
    };
    const onAbort = () => settle(stop.reason);
    const unsubscribe = socket.subscribe<Data>({ query, variables }, {
      next: (item) => {
        arrived.push(item);
        wake();
      },
      error: settle,
      complete: () => settle(),
    });
    stop.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        for (let item = arrived.shift(); item; item = arrived.shift()) {
          if (item.errors?.[0]) throw refusedBy(item.errors[0] as unknown as GraphQLErrorLike);
          if (item.data) yield item.data;
        }
        if (outcome) break;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop.removeEventListener("abort", onAbort);
      unsubscribe();
    }
    const { reason } = outcome;
    // The payload of an `error` message: GraphQL's errors.
    if (reason !== undefined) throw Array.isArray(reason) && reason[0] ? refusedBy(reason[0] as GraphQLErrorLike) : reason;
  }

  private change(state: ConnectionState): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/**
 * A WebSocket that always tells its close, as the standard says (https://websockets.spec.whatwg.org/#fail-the-websocket-connection).
 * That of Node 22 tells only the error of a connection that it could not open, and graphql-ws waits for the close.
 */
const closing = (native: typeof WebSocket): typeof WebSocket =>
  class extends native {
    constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
      super(...parameters);
      let told = false;
      this.addEventListener("close", () => (told = true), { once: true });
      this.addEventListener("error", () => setTimeout(() => {
        if (!told) this.dispatchEvent(Object.assign(new Event("close"), { code: 1006, reason: "", wasClean: false }));
      }), { once: true });
    }
  };

const closeCode = (reason: unknown): number | undefined =>
  typeof reason === "object" && reason !== null && "code" in reason && typeof reason.code === "number" ? reason.code : undefined;

const closeReason = (reason: unknown): string =>
  typeof reason === "object" && reason !== null && "reason" in reason && reason.reason ? String(reason.reason) : "the api closed the connection";

/** Waits longer after each failure in a row, at random, so that the clients of a node that restarts do not come at once. */
export function pause(failures: number, signal: AbortSignal): Promise<void> {
  const mean = Math.min(LONGEST_PAUSE_MILLISECONDS, FIRST_PAUSE_MILLISECONDS * 2 ** failures);
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, mean * (0.75 + Math.random() / 2));
    signal.addEventListener("abort", stop, { once: true });
  });
}

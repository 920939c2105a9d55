// Queries and mutations, by POST.
import { authorization, type Credential, unauthenticated } from "./credential.ts";
import { DaskGraphQLError, type GraphQLErrorLike, refusedBy, Refused, Unreachable } from "./errors.ts";

interface Answer {
  data?: unknown;
  errors?: GraphQLErrorLike[];
}

export class Http {
  constructor(
    private readonly url: () => string,
    private readonly credential: Credential,
    private readonly fetch: typeof globalThis.fetch,
    private readonly headers: Record<string, string>,
  ) {}

  /** Sends an operation; another time if the credential was refused and there is another one. */
  async request<Data>(query: string, variables: object | undefined, signal: AbortSignal | undefined): Promise<Data> {
    const token = await this.credential.get();
    try {
      return await this.send<Data>(query, variables, token, signal);
    } catch (reason) {
      if (!(reason instanceof Refused) || reason.code !== "UNAUTHENTICATED") throw reason;
      await this.credential.renew(token);
      return await this.send<Data>(query, variables, await this.credential.get(), signal);
    }
  }

  private async send<Data>(
    query: string, variables: object | undefined, token: string | null | undefined, signal: AbortSignal | undefined,
  ): Promise<Data> {
    const response = await this.exchange(this.url(), {
      method: "POST",
      // With this media type a refusal has the status 200 too, so that browsers do not log it as a network error.
      headers: { "content-type": "application/json", accept: "application/json", ...this.headers, ...authorization(token) },
      body: JSON.stringify({ query, variables }, wireValue),
      signal: signal ?? null,
    });
    const body = await readJson(response, signal);
    const [error] = body?.errors ?? [];
    if (error) throw refusedBy(error, response.status === 401 ? "UNAUTHENTICATED" : "INTERNAL");
    if (response.status === 401) throw unauthenticated();
    if (!body?.data) throw new Refused(`HTTP_${response.status}`, `the api returned the status ${response.status} ${response.statusText} without data`);
    return body.data as Data;
  }

  /** @throws Unreachable if there was no response. */
  async exchange(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.fetch(url, init);
    } catch (reason) {
      init.signal?.throwIfAborted();
      if (reason instanceof DaskGraphQLError) throw reason;
      // fetch throws a TypeError if there was no response at all.
      throw new Unreachable("the api does not respond", { cause: reason });
    }
  }
}

async function readJson(response: Response, signal: AbortSignal | undefined): Promise<Answer | undefined> {
  try {
    return (await response.json()) as Answer;
  } catch (reason) {
    signal?.throwIfAborted();
    if (reason instanceof SyntaxError) return undefined;
    throw new Unreachable("the connection was lost", { cause: reason });
  }
}

/** A `bigint` as the scalar BigInt takes it; as a number where every Int fits. */
export const wireValue = (_name: string, value: unknown): unknown =>
  typeof value !== "bigint" ? value : value >= -(2n ** 31n) && value < 2n ** 31n ? Number(value) : String(value);

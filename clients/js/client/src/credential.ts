// The caller's token: asked for once, and again when the api refuses it.
import { Refused } from "./errors.ts";

export type Token = string | null | undefined;

/**
 * Returns the token of the caller: an API key, a JWT or a task token; nothing for none.
 *
 * @param refused the token that the api has refused, because it has expired or was revoked. Return another one. If you return
 *   the same one, or none, the operation is refused with `UNAUTHENTICATED`.
 */
export type GetToken = (refused?: string) => Token | Promise<Token>;

export class Credential {
  private asked: Promise<Token> | undefined;
  /** The latest token, for `connection_init`, which is written when the socket opens. */
  current: Token;

  constructor(private readonly getToken: GetToken) {}

  get(): Promise<Token> {
    return this.asked ?? this.ask();
  }

  /**
   * Asks for another token in place of `refused`; callers at the same time share one question.
   *
   * @throws Refused UNAUTHENTICATED if there is no other.
   */
  async renew(refused: Token): Promise<void> {
    // Another operation may have renewed it in the meantime.
    if ((await this.get()) !== refused) return;
    if ((await this.ask(refused ?? undefined)) === refused || !this.current) throw unauthenticated();
  }

  /** Forgets the token: the next operation asks for it. */
  forget(): void {
    this.asked = undefined;
  }

  private ask(refused?: string): Promise<Token> {
    const asked = Promise.resolve(refused)
      .then(this.getToken)
      .then((token) => (this.current = token || undefined));
    this.asked = asked;
    // After an error, the next operation asks again.
    asked.catch(() => this.asked === asked && this.forget());
    return asked;
  }
}

export const unauthenticated = (message = "the api did not accept the credential, and getToken has no other"): Refused =>
  new Refused("UNAUTHENTICATED", message);

/** The header of a request, and the payload of `connection_init`. */
export const authorization = (token: Token): Record<string, string> => (token ? { authorization: `Bearer ${token}` } : {});

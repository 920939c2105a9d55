// Signs in with an OpenID Connect provider: authorization code with PKCE (RFC 7636), in this page, without a secret.
// What it keeps ends with the tab, unless the person stays signed in on this device (api/key.ts).
import { API_URL, HTTP_URL } from "../api/address.ts";
import { apiKey, drop, keep, kept, onKeyChange, setApiKey, staysSignedIn } from "../api/key.ts";
import { forgetGraphiql } from "../graphiql/storage.ts";
import { forgetDrafts } from "../types/kept.ts";

/** What `/auth/config` tells of the provider. */
export interface Provider {
  issuer: string;
  authorizationEndpoint: string;
  tokenEndpoint: string;
  endSessionEndpoint: string | null;
  /** Whether each response names its issuer (RFC 9207). */
  namesIssuer: boolean;
  clientId: string;
  scope: string;
  /** Which token the api accepts. */
  token: "access_token" | "id_token";
  parameters: Record<string, string>;
}

/** A request to sign in that is under way. */
interface Attempt {
  state: string;
  nonce: string;
  verifier: string;
  provider: Provider;
  /** What the address showed before. */
  hash: string;
  /** Whether the person stays signed in on this device. */
  stay: boolean;
}

interface Session {
  name: string;
  subject: string;
  idToken: string;
  refreshToken: string | undefined;
  /** When to refresh, milliseconds since 1970. */
  refreshAt: number | undefined;
  provider: Provider;
}

interface Tokens {
  access_token?: string;
  id_token?: string;
  refresh_token?: string;
  expires_in?: number;
  error?: string;
  error_description?: string;
}

const ATTEMPT = "dask-graphql.sign-in";
const SESSION = "dask-graphql.session";
/** Seconds before its end at which a token is refreshed. */
const EARLY_SECONDS = 60;

const read = <Kept>(place: string): Kept | undefined => JSON.parse(kept(place) ?? "null") ?? undefined;
const write = (place: string, value: unknown, onDevice = false) => keep(place, JSON.stringify(value), onDevice);

/** The page that the provider returns to, exactly as it is registered there. */
const RETURN_URL = API_URL;

/** The provider; undefined if this api offers no sign-in. */
export async function provider(): Promise<Provider | undefined> {
  const response = await fetch(`${API_URL}auth/config`);
  const body = (await response.json()) as { signIn?: Provider | null; error?: string };
  if (!response.ok) throw new Error(body.error ?? `The api returned the status ${response.status}`);
  return body.signIn ?? undefined;
}

/** Hosts of providers whose name people know better. */
const PROVIDERS: [end: string, name: string][] = [
  ["okta.com", "Okta"], ["auth0.com", "Auth0"], ["accounts.google.com", "Google"], ["login.microsoftonline.com", "Microsoft"],
  ["amazonaws.com", "Amazon Cognito"], ["gitlab.com", "GitLab"], ["onelogin.com", "OneLogin"],
];

/** The name of a provider, on the button that goes to it. */
export function providerName({ issuer }: Provider): string {
  const { host } = new URL(issuer);
  return PROVIDERS.find(([end]) => host === end || host.endsWith(`.${end}`))?.[1] ?? host;
}

/** Goes to the provider's page. */
export async function signIn(chosen: Provider, stay: boolean): Promise<void> {
  const attempt: Attempt = {
    state: random(), nonce: random(), verifier: random(), provider: chosen, hash: location.hash, stay,
  };
  write(ATTEMPT, attempt);
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(attempt.verifier));
  const url = new URL(chosen.authorizationEndpoint);
  const parameters = {
    ...chosen.parameters,
    response_type: "code", client_id: chosen.clientId, redirect_uri: RETURN_URL, scope: chosen.scope,
    state: attempt.state, nonce: attempt.nonce,
    code_challenge: base64url(new Uint8Array(challenge)), code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Takes what the provider has appended to the address, once; throws if it is not the answer to our request. */
export async function completeSignIn(): Promise<void> {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("state") || !(answer.has("code") || answer.has("error"))) return;
  const attempt = read<Attempt>(ATTEMPT);
  drop(ATTEMPT);
  history.replaceState(null, "", `${location.pathname}${attempt?.hash ?? location.hash}`);
  if (!attempt || answer.get("state") !== attempt.state) throw new Error("this page has not asked for it");
  const { provider: asked } = attempt;
  // A provider that answers in the name of another one would get the other's code (RFC 9207).
  const named = answer.get("iss");
  if (named === null ? asked.namesIssuer : named !== asked.issuer) throw new Error("the answer is of another provider");
  const code = answer.get("code");
  if (code === null) throw new Error(answer.get("error_description") ?? answer.get("error") ?? "it was refused");
  const tokens = await fetchTokens(asked, {
    grant_type: "authorization_code", code, redirect_uri: RETURN_URL, code_verifier: attempt.verifier,
  });
  start(asked, tokens, attempt.stay, attempt.nonce);
}

/** Who has signed in; undefined if nobody has, or a key is used. */
export const signedIn = (): string | undefined => read<Session>(SESSION)?.name;

/** What everything shown belongs to: it stays the same when a token is refreshed. */
export function identity(): string {
  const session = read<Session>(SESSION);
  return session ? `${session.provider.issuer} ${session.subject}` : apiKey();
}

/** Forgets the tokens and what was typed, and ends the session at the provider if it offers that (OpenID Connect RP-Initiated Logout). */
export function signOut(): void {
  const session = read<Session>(SESSION);
  forget();
  forgetDrafts();
  forgetGraphiql();
  if (!session?.provider.endSessionEndpoint) return;
  const url = new URL(session.provider.endSessionEndpoint);
  const parameters = {
    id_token_hint: session.idToken, client_id: session.provider.clientId, post_logout_redirect_uri: RETURN_URL,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Asks the api whether it accepts a key, before the page uses it; throws an error if there is no answer. */
export async function isAccepted(key: string): Promise<boolean> {
  const response = await fetch(HTTP_URL, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify({ query: "query Accepted { caller { title } }" }),
  });
  return response.status !== 401;
}

/** Forgets who has signed in, because a key is to be used instead. */
export function forget(): void {
  drop(SESSION);
  setApiKey("");
}

function start(from: Provider, tokens: Tokens, stay: boolean, nonce: string | undefined, before?: Session): void {
  const idToken = tokens.id_token ?? before?.idToken;
  const sent = from.token === "id_token" ? idToken : tokens.access_token;
  if (!idToken || !sent) throw new Error(`the provider gave no ${from.token}`);
  // It came from the provider itself over TLS, which may stand in for its signature (OpenID Connect Core 3.1.3.7).
  const claims = claimsOf(idToken);
  const audience = [claims["aud"]].flat();
  if (claims["iss"] !== from.issuer || !audience.includes(from.clientId)) throw new Error("the ID token is for others");
  if (nonce !== undefined && claims["nonce"] !== nonce) throw new Error("the ID token is of another request");
  const subject = String(claims["sub"]);
  if (before && subject !== before.subject) throw new Error("the ID token is of somebody else");
  write(SESSION, {
    name: String(claims["name"] ?? claims["preferred_username"] ?? claims["email"] ?? subject),
    subject, idToken, provider: from,
    refreshToken: tokens.refresh_token ?? before?.refreshToken,
    refreshAt: tokens.expires_in === undefined ? undefined : Date.now() + 1000 * Math.max(tokens.expires_in - EARLY_SECONDS, tokens.expires_in / 2),
  } satisfies Session, stay);
  setApiKey(sent, stay);
}

/** Keeps the token fresh; calls `failed` if the session has ended. Returns a function that stops it. */
export function keepFresh(failed: (reason: string) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const plan = () => {
    clearTimeout(timer);
    const session = read<Session>(SESSION);
    if (session?.refreshAt === undefined || !session.refreshToken) return;
    timer = setTimeout(() => void refresh(session), Math.max(0, session.refreshAt - Date.now()));
  };
  // One tab of this device at a time: most providers accept a refresh token once.
  const refresh = (before: Session) => navigator.locks.request(SESSION, () => refreshed(before));
  const refreshed = async (before: Session) => {
    const session = read<Session>(SESSION);
    if (!session || session.refreshToken !== before.refreshToken) return plan();
    try {
      const tokens = await fetchTokens(session.provider, { grant_type: "refresh_token", refresh_token: session.refreshToken ?? "" });
      start(session.provider, tokens, staysSignedIn(), undefined, session);
    } catch (reason) {
      // No answer at all: the network may come back before the token ends.
      if (reason instanceof TypeError) timer = setTimeout(() => void refresh(session), 5000);
      else {
        forget();
        failed(String(reason instanceof Error ? reason.message : reason));
      }
    }
  };
  plan();
  const unsubscribe = onKeyChange(plan);
  return () => {
    unsubscribe();
    clearTimeout(timer);
  };
}

async function fetchTokens(from: Provider, parameters: Record<string, string>): Promise<Tokens> {
  const response = await fetch(from.tokenEndpoint, {
    method: "POST",
    body: new URLSearchParams({ ...parameters, client_id: from.clientId }),
  });
  const tokens = (await response.json().catch(() => ({}))) as Tokens;
  if (response.ok) return tokens;
  throw new Error(tokens.error_description ?? tokens.error ?? `the provider returned the status ${response.status}`);
}

function claimsOf(token: string): Record<string, unknown> {
  const text = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
}

const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// The headers editor keeps the token that this tab had when it was written there. A token of a sign-in is renewed while
// the page is open, so requests carry the newest one in its place; what the reader writes there is sent as it is.
import { apiKey, authorization, onKeyChange } from "../api/key.ts";

const ours = new Set([apiKey()]);
onKeyChange(() => ours.add(apiKey()));

export function withRenewedToken(headers: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  if (!headers) return headers;
  const sent = Object.entries(headers).filter(([name, value]) => !(name.toLowerCase() === "authorization" && isOurs(value)));
  return sent.length === Object.keys(headers).length ? headers : { ...Object.fromEntries(sent), ...authorization() };
}

const isOurs = (value: unknown): boolean => typeof value === "string" && ours.has(value.replace(/^Bearer\s+/i, ""));

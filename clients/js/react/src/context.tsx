// The client that the hooks use.
import type { Client } from "@dask-graphql/client";
import { createContext, createElement, type ReactElement, type ReactNode, useContext } from "react";

const Context = createContext<Client | undefined>(undefined);

export interface ProviderProps {
  /** Make it once, outside of components: it has one WebSocket. */
  client: Client;
  children?: ReactNode;
}

/** Gives the components below it a client. */
export const DaskGraphQLProvider = ({ client, children }: ProviderProps): ReactElement =>
  createElement(Context.Provider, { value: client }, children);

/** The client of the nearest provider. @throws Error there is none. */
export function useClient(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("this hook needs a <DaskGraphQLProvider client={...}> above it");
  return client;
}

"use client";
import { createClient } from "@dask-graphql/client";
import { DaskGraphQLProvider } from "@dask-graphql/react";
import type { ReactNode } from "react";

// Next.js passes /graphql on to the api (next.config.mjs), so the page needs no CORS. The server makes this client too when
// it renders the page, and sends nothing with it.
const client = createClient({ url: "/graphql" });

export const Providers = ({ children }: { children: ReactNode }) => (
  <DaskGraphQLProvider client={client}>{children}</DaskGraphQLProvider>
);

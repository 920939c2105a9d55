// The task types from the api's `taskTypes`, and the shapes of their GraphQL types.
import type * as client from "@dask-graphql/client";

export interface Member extends client.Member {
  description: string | null;
}

export interface UsedType extends client.UsedType {
  fields: Member[];
}

export interface Stream {
  itemType: string;
  wrapsValue: boolean;
  /** Everything in `itemType` that needs no arguments. */
  selection: string;
}

export interface TaskType extends Omit<client.TaskType, "arguments"> {
  description: string;
  /** Of a task type that yields items. */
  stream: Stream | null;
  timeoutSeconds: number | null;
  retries: number;
  arguments: (Omit<Member, "hasDefault"> & { required: boolean })[];
  types: UsedType[];
}

export interface Catalogue {
  taskTypes: TaskType[];
  caller: { name: string; title: string; tenant: string | null; scopes: string[]; taskIdSalt: string | null };
}

const MEMBER = "name graphqlName graphqlType description default";

export const CATALOGUE = `query Catalogue {
  caller { name title tenant scopes taskIdSalt }
  taskTypes {
    name version description mutation outputType wrapsValue selection stream { itemType wrapsValue selection } idFromInput timeoutSeconds retries
    arguments { ${MEMBER} required }
    types { name fields { ${MEMBER} hasDefault } members { name value } }
  }
}`;

export const argumentsOf = (type: TaskType): Member[] =>
  type.arguments.map(({ required, ...argument }) => ({ ...argument, hasDefault: !required }));

/** A GraphQL type, for forms and results. */
export interface Shape {
  kind: "list" | "object" | "enum" | "scalar";
  nullable: boolean;
  /** The name of the type; for a list, the GraphQL type of an item. */
  name: string;
  /** The description of an object or enum. */
  type: UsedType | undefined;
}

export function shapeOf(graphqlType: string, types: UsedType[]): Shape {
  const nullable = !graphqlType.endsWith("!");
  const bare = nullable ? graphqlType : graphqlType.slice(0, -1);
  if (bare.startsWith("[")) return { kind: "list", nullable, name: bare.slice(1, -1), type: undefined };
  const type = types.find(({ name }) => name === bare);
  return { kind: !type ? "scalar" : type.members.length ? "enum" : "object", nullable, name: bare, type };
}

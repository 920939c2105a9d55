// The task types from the api's `taskTypes`, and the shapes of their GraphQL types.

/** An argument of a task type, or a field of an object. */
export interface Member {
  /** Its name in Python and in the task id's input. */
  name: string;
  graphqlName: string;
  /** Such as `[Int!]!`. */
  graphqlType: string;
  description: string | null;
  hasDefault: boolean;
  /** In the form of the task id's input. */
  default: unknown;
}

export interface UsedType {
  name: string;
  /** The fields of an object. */
  fields: Member[];
  /** The members of an enum, by their names in the schema. */
  members: { name: string; value: unknown }[];
}

export interface Stream {
  itemType: string;
  wrapsValue: boolean;
  /** Everything in `itemType` that needs no arguments. */
  selection: string;
}

export interface TaskType {
  name: string;
  version: string;
  description: string;
  mutation: string;
  outputType: string;
  wrapsValue: boolean;
  /** Everything in `outputType` that needs no arguments. */
  selection: string;
  /** Of a task type that yields items. */
  stream: Stream | null;
  idFromInput: boolean;
  timeoutSeconds: number | null;
  retries: number;
  arguments: (Omit<Member, "hasDefault"> & { required: boolean })[];
  types: UsedType[];
}

export interface Catalogue {
  taskTypes: TaskType[];
  caller: { name: string; tenant: string | null; scopes: string[]; taskIdSalt: string | null };
}

const MEMBER = "name graphqlName graphqlType description default";

export const CATALOGUE = `query Catalogue {
  caller { name tenant scopes taskIdSalt }
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

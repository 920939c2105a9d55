// The task types from the api's `taskTypes`, and the operations that follow from them.
import { SUMMARY } from "./records.ts";

/** An argument of a task type, or a field of an object. */
export interface Member {
  /** Its name in Python and in the task id's input. */
  name: string;
  graphqlName: string;
  /** Such as `[Int!]!`. */
  graphqlType: string;
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

export interface TaskType {
  name: string;
  version: string;
  mutation: string;
  outputType: string;
  wrapsValue: boolean;
  /** Everything in `outputType` that needs no arguments. */
  selection: string;
  idFromInput: boolean;
  arguments: Member[];
  types: UsedType[];
}

interface Wire {
  caller: { taskIdSalt: string | null };
  taskTypes: (Omit<TaskType, "arguments"> & { arguments: (Omit<Member, "hasDefault"> & { required: boolean })[] })[];
}

const MEMBER = "name graphqlName graphqlType default";

export const CATALOGUE = `query Catalogue {
  caller { taskIdSalt }
  taskTypes {
    name version mutation outputType wrapsValue selection idFromInput
    arguments { ${MEMBER} required }
    types { name fields { ${MEMBER} hasDefault } members { name value } }
  }
}`;

/** What an api serves, as it was when it was asked. */
export class Catalogue {
  readonly salt: string | null;
  private readonly types: Map<string, TaskType>;

  constructor({ caller, taskTypes }: Wire) {
    this.salt = caller.taskIdSalt;
    this.types = new Map(
      taskTypes.map(({ arguments: given, ...type }) => [
        type.name, { ...type, arguments: given.map(({ required, ...argument }) => ({ ...argument, hasDefault: !required })) },
      ]),
    );
  }

  /** The task type, by its registered name (`estimate_pi`). */
  find(name: string): TaskType | undefined {
    return this.types.get(name);
  }

  names(): string[] {
    return [...this.types.keys()];
  }
}

type Callable = Pick<TaskType, "mutation"> & { arguments: Pick<Member, "graphqlName" | "graphqlType">[] };

/** Submits a task: `{ submission { taskId outcome } }`. `given`: the arguments by their GraphQL names. */
export function submissionOf(type: Callable, given: object): string {
  const { head, call } = callOf(type, given);
  return `mutation Submit(${head}) {
  submission: ${type.mutation}(${call}) { taskId outcome }
}`;
}

/** Submits a task and delivers its final record: `{ task { ... } }`. */
export function runOf(type: TaskType, given: object): string {
  const { head, call } = callOf(type, given);
  return `subscription Run(${head}) { task: ${type.mutation.replace(/^submit/, "run")}(${call}) { ${recordOf(type)} } }`;
}

/** Only the given arguments: a variable of a type `T!` cannot be omitted, although its argument can. */
function callOf(type: Callable, given: object): { head: string; call: string } {
  const used = type.arguments.filter(({ graphqlName }) => graphqlName in given);
  const head = [...used.map(({ graphqlName, graphqlType }) => `$${graphqlName}: ${graphqlType}`), "$options: SubmitOptions"];
  const body = [...used.map(({ graphqlName }) => graphqlName), "options"].map((name) => `${name}: $${name}`);
  return { head: head.join(", "), call: body.join(", ") };
}

/** The selection of a record with its result; without the result if the api no longer has the task type. */
export const recordOf = (type: TaskType | undefined): string =>
  type ? `${SUMMARY} result { ... on ${type.outputType} { ${type.selection} } }` : SUMMARY;

// The input of a record, which has the names of Python, as a submission in GraphQL has it.
import { argumentsOf, type Member, shapeOf, type TaskType, type UsedType } from "../api/task-types.ts";

/** @param input as the record has it: the arguments in canonical form. */
export const wireInput = (type: TaskType, input: unknown): Record<string, unknown> => objectOf(argumentsOf(type), type.types, input);

function objectOf(members: Member[], types: UsedType[], value: unknown): Record<string, unknown> {
  const given = (value ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    members.filter(({ name }) => name in given).map(({ name, graphqlName, graphqlType }) => [graphqlName, valueOf(graphqlType, types, given[name])]),
  );
}

function valueOf(graphqlType: string, types: UsedType[], value: unknown): unknown {
  const { kind, name, type } = shapeOf(graphqlType, types);
  if (value === null || value === undefined) return value;
  if (kind === "list") return Array.isArray(value) ? value.map((item) => valueOf(name, types, item)) : value;
  if (kind === "enum") return type!.members.find((member) => member.value === value)?.name ?? value;
  return kind === "object" ? objectOf(type!.fields, types, value) : value;
}

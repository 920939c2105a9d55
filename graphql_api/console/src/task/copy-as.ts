// The submission of a task as a program would write it.
import { submissionOf } from "@dask-graphql/client";
import { HTTP_URL } from "../api/address.ts";
import { apiKey } from "../api/key.ts";
import { argumentsOf, type TaskType } from "../api/task-types.ts";
import { wireInput } from "./wire-input.ts";

export const LANGUAGES = ["GraphQL", "curl", "Python", "TypeScript"] as const;

export type Language = (typeof LANGUAGES)[number];

/** @param input as the record has it. */
export function submissionIn(language: Language, type: TaskType, input: unknown): string {
  const wire = wireInput(type, input);
  const guarded = apiKey() !== "";
  switch (language) {
    case "GraphQL":
      return inGraphQL(type, wire);
    case "curl": {
      const body = JSON.stringify({ query: submissionOf(type, wire).replace(/\s*\n\s*/g, " "), variables: wire });
      const token = guarded ? ` \\\n  -H "authorization: Bearer $DASK_GRAPHQL_TOKEN"` : "";
      return `curl ${HTTP_URL} \\\n  -H 'content-type: application/json'${token} \\\n  --data-binary ${quoted(body)}`;
    }
    case "Python": {
      const given = (input ?? {}) as Record<string, unknown>;
      const names = argumentsOf(type).filter(({ name }) => name in given);
      const lines = names.map(({ name }) => `    ${name}=${python(given[name])},`);
      const client = `Client("${HTTP_URL.replace(/\/graphql$/, "")}"${guarded ? `, token=os.environ["DASK_GRAPHQL_TOKEN"]` : ""})`;
      return `${guarded ? "import os\n\n" : ""}from dask_graphql import Client\n\nclient = ${client}\nhandle = client.submit(\n    "${type.name}",\n${lines.map((line) => `${line}\n`).join("")})\nprint(handle.result())\n`;
    }
    case "TypeScript": {
      const client = `createClient({ url: "${HTTP_URL}"${guarded ? ", token: process.env.DASK_GRAPHQL_TOKEN" : ""} })`;
      return `import { createClient } from "@dask-graphql/client";\n\nconst client = ${client};\nconst { output } = await client.run("${type.name}", ${JSON.stringify(wire, null, 2)});\nconsole.log(output);\n`;
    }
  }
}

/** The mutation with its arguments as literals, to be pasted into GraphiQL. */
function inGraphQL(type: TaskType, wire: Record<string, unknown>): string {
  const names = argumentsOf(type).filter(({ graphqlName }) => graphqlName in wire);
  const lines = names.map(({ graphqlName, graphqlType }) => `    ${graphqlName}: ${literal(wire[graphqlName], graphqlType, type)}`);
  return `mutation {\n  ${type.mutation}${lines.length ? `(\n${lines.join("\n")}\n  )` : ""} {\n    taskId\n    outcome\n  }\n}\n`;
}

/** A value in GraphQL's own syntax, which writes enums without quotes. */
function literal(value: unknown, graphqlType: string, { types }: TaskType): string {
  const bare = graphqlType.replace(/!$/, "");
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) {
    const inner = bare.startsWith("[") ? bare.slice(1, -1) : bare;
    return `[${value.map((item) => literal(item, inner, { types } as TaskType)).join(", ")}]`;
  }
  const used = types.find(({ name }) => name === bare);
  if (used?.members.length && typeof value === "string") return value;
  if (typeof value === "object") {
    const fields = Object.entries(value).map(([name, field]) => {
      const member = used?.fields.find(({ graphqlName }) => graphqlName === name);
      return `${/^\w+$/.test(name) ? name : JSON.stringify(name)}: ${literal(field, member?.graphqlType ?? "JSON", { types } as TaskType)}`;
    });
    return `{${fields.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** JSON in Python's spelling. */
function python(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}

/** One word of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

// The side list of GraphiQL with the operations of every task type: a click opens one in a tab of its own.
import { submissionOf } from "@dask-graphql/client";
import { type GraphiQLPlugin, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { parse, print } from "graphql";
import { useEffect, useState } from "react";
import { refusal, request } from "../api/client.ts";
import { argumentsOf, CATALOGUE, type Catalogue, type TaskType } from "../api/task-types.ts";
import { draftsOf, readMembers } from "../types/draft.ts";
import { Icon } from "../ui/icon.tsx";

/** The arguments with their defaults; null where a value is required. */
function variablesOf(type: TaskType): Record<string, unknown> {
  const members = argumentsOf(type);
  const { wire } = readMembers(draftsOf(members, type.types), members, type.types, {});
  return Object.fromEntries(members.filter(({ graphqlName }) => graphqlName in wire).map(({ graphqlName }) => [graphqlName, wire[graphqlName] ?? null]));
}

const KINDS: [words: string, textOf: (type: TaskType, variables: object) => string][] = [
  ["Run and return the id", submissionOf],
  // A subscription: it delivers the task once, at its end.
  ["Run and wait for the result", (type, variables) =>
    submissionOf(type, variables)
      .replace("mutation Submit", "subscription Run")
      .replace(`submission: ${type.mutation}`, `task: ${type.mutation.replace(/^submit/, "run")}`)
      .replace("{ taskId outcome }", `{ taskId state error { code message } result { ... on ${type.outputType} { ${type.selection} } } }`)],
];

function Operations() {
  const [taskTypes, setTaskTypes] = useState<TaskType[]>();
  const [failure, setFailure] = useState<string>();
  const [words, setWords] = useState("");
  const { addTab } = useGraphiQLActions();
  const editors = useGraphiQL(({ queryEditor, variableEditor }) => ({ queryEditor, variableEditor }));
  useEffect(() => {
    request<Catalogue>(CATALOGUE).then((catalogue) => setTaskTypes(catalogue.taskTypes), (why: unknown) => setFailure(refusal(why).message));
  }, []);

  const open = (type: TaskType, textOf: (type: TaskType, variables: object) => string) => {
    const variables = variablesOf(type);
    addTab();
    editors.queryEditor?.setValue(print(parse(textOf(type, variables))));
    editors.variableEditor?.setValue(JSON.stringify(variables, null, 2));
  };
  const shown = taskTypes?.filter(({ name, description }) => `${name} ${description}`.toLowerCase().includes(words.toLowerCase()));
  return (
    <section className="operations" aria-label="Operations">
      <div className="graphiql-doc-explorer-title">Operations</div>
      <input type="search" className="graphiql-filter" aria-label="Find a task type" placeholder="Find a task type" value={words} onChange={(event) => setWords(event.target.value)} />
      {failure && <p role="alert">{failure}</p>}
      <ul>
        {shown?.map((type) => (
          <li key={type.name}>
            <b>{type.name}</b>
            {KINDS.map(([title, textOf]) => (
              <button type="button" key={title} onClick={() => open(type, textOf)} aria-label={`${title}: ${type.name}`}>{title}</button>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

export const OPERATIONS: GraphiQLPlugin = { title: "Operations", icon: () => <Icon name="list" />, content: Operations };

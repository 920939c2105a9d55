// The fields of a form: one component per shape of GraphQL type.
import { useId } from "react";
import { type Draft, type Drafts, emptyDraft, type Problems } from "./draft.ts";
import { FileField } from "./file-field.tsx";
import { type Member, type Shape, shapeOf, type UsedType } from "../api/task-types.ts";

/** Scalars with an input type of the browser; any other is a text input. */
const INPUT_TYPES: Record<string, string> = { Date: "date", Time: "time", DateTime: "datetime-local" };
const HINTS: Record<string, string> = { Duration: "PT1H30M", UUID: "00000000-0000-0000-0000-000000000000", JSON: '{"key": [1, 2]}' };

interface Common {
  types: UsedType[];
  problems: Problems;
  /** Its path in GraphQL names: `place.tags[0]`. */
  path: string;
}

interface FieldProps extends Common {
  graphqlType: string;
  draft: Draft;
  onChange(draft: Draft): void;
  label: string;
  description?: string | null;
  autoFocus?: boolean;
}

export function Members({ members, drafts, onChange, path, autoFocus, ...common }: Common & {
  members: Member[];
  drafts: Drafts;
  onChange(drafts: Drafts): void;
  autoFocus?: boolean;
}) {
  const fields = members.map((member, index) => (
    <Field
      key={member.name}
      {...common}
      path={path ? `${path}.${member.graphqlName}` : member.graphqlName}
      graphqlType={member.graphqlType}
      label={member.graphqlName}
      description={member.description}
      draft={drafts[member.name]}
      onChange={(draft) => onChange({ ...drafts, [member.name]: draft })}
      {...(autoFocus && index === 0 ? { autoFocus } : {})}
    />
  ));
  return members.length > 0 && <div className="members">{fields}</div>;
}

export function Field(props: FieldProps) {
  const { graphqlType, types, draft } = props;
  const shape = shapeOf(graphqlType, types);
  if (shape.nullable && draft === undefined && (shape.kind === "object" || shape.kind === "list")) {
    return <Absent {...props} shape={shape} />;
  }
  if (shape.kind === "object") return <ObjectField {...props} shape={shape} />;
  if (shape.kind !== "list") return <LeafField {...props} shape={shape} />;
  const item = shapeOf(shape.name, types);
  const inLines = item.kind === "scalar" && !item.nullable && !["Boolean", "JSON", "FileId"].includes(item.name);
  return inLines ? <LinesField {...props} item={item} shape={shape} /> : <ListField {...props} shape={shape} />;
}

function Note({ id, description, problem }: { id: string; description: string | null | undefined; problem: string | undefined }) {
  return (
    <div id={id} className="note">
      {description && <span className="hint">{description}</span>}
      {problem && <span className="problem">{problem}</span>}
    </div>
  );
}

function Absent({ label, description, problems, path, graphqlType, types, onChange }: FieldProps & { shape: Shape }) {
  const id = useId();
  return (
    <div className="field" role="group" aria-labelledby={id}>
      <span className="label">
        <span id={id}>{label}</span> <Type name={graphqlType} />
      </span>
      <span className="row">
        <span className="hint">none</span>
        <button type="button" className="quiet" onClick={() => onChange(emptyDraft(`${graphqlType}!`, types))}>
          Set {label}
        </button>
      </span>
      <Note id={`${id}-note`} description={description} problem={problems[path]} />
    </div>
  );
}

function ObjectField({ shape, label, description, draft, onChange, problems, path, types }: FieldProps & { shape: Shape }) {
  const note = useId();
  return (
    <fieldset aria-describedby={note}>
      <legend>
        {label} <Type name={shape.name} />
        {shape.nullable && <Remove label={label} onClick={() => onChange(undefined)} />}
      </legend>
      <Note id={note} description={description} problem={problems[path]} />
      <Members members={shape.type!.fields} drafts={draft as Drafts} {...{ types, problems, path, onChange }} />
    </fieldset>
  );
}

function ListField({ shape, label, description, draft, onChange, problems, path, types }: FieldProps & { shape: Shape }) {
  const note = useId();
  const items = draft as Draft[];
  return (
    <fieldset aria-describedby={note}>
      <legend>
        {label} <Type name={`[${shape.name}]`} />
        {shape.nullable && <Remove label={label} onClick={() => onChange(undefined)} />}
      </legend>
      <Note id={note} description={description} problem={problems[path]} />
      {items.map((item, index) => (
        // Items have no identity other than their index.
        <div className="item" key={index}>
          <Field
            {...{ types, problems }}
            path={`${path}[${index}]`}
            graphqlType={shape.name}
            label={`${label}[${index}]`}
            draft={item}
            onChange={(next) => onChange(items.map((old, place) => (place === index ? next : old)))}
          />
          <Remove label={`${label}[${index}]`} onClick={() => onChange(items.filter((_, place) => place !== index))} />
        </div>
      ))}
      <div>
        <button type="button" className="quiet" onClick={() => onChange([...items, emptyDraft(shape.name, types)])}>
          Add to {label}
        </button>
      </div>
    </fieldset>
  );
}

function Remove({ label, onClick }: { label: string; onClick(): void }) {
  return (
    <button type="button" className="quiet remove" aria-label={`Remove ${label}`} title={`Remove ${label}`} onClick={onClick}>
      ×
    </button>
  );
}

const Type = ({ name }: { name: string }) => <code className="hint">{name}</code>;

/** A list of plain values: one a line, so that many can be pasted. */
function LinesField({ item, shape, label, description, draft, onChange, problems, path }: FieldProps & { item: Shape; shape: Shape }) {
  const id = useId();
  const lines = draft as string[];
  const wrong = Object.entries(problems).find(([place]) => place === path || place.startsWith(`${path}[`));
  const problem = wrong && (wrong[0] === path ? wrong[1] : `${wrong[0]}: ${wrong[1]}`);
  return (
    <div className="field">
      <label htmlFor={id} className="label">
        {label} <Type name={`[${item.name}]`} />
      </label>
      <textarea
        id={id}
        rows={Math.min(8, Math.max(2, lines.length + 1))}
        value={lines.join("\n")}
        aria-invalid={Boolean(problem)}
        aria-describedby={`${id}-note`}
        onChange={({ target: { value } }) => onChange(value === "" ? (shape.nullable ? undefined : []) : value.split("\n"))}
      />
      <Note id={`${id}-note`} description={["One per line.", description].filter(Boolean).join(" ")} problem={problem} />
    </div>
  );
}

function LeafField({ shape, label, description, draft, onChange, problems, path, autoFocus }: FieldProps & { shape: Shape }) {
  const id = useId();
  const problem = problems[path];
  const common = {
    id,
    "aria-invalid": Boolean(problem),
    "aria-required": !shape.nullable && shape.name !== "Boolean" ? true : undefined,
    "aria-describedby": `${id}-note`,
    ...(autoFocus ? { autoFocus } : {}),
  };
  const value = typeof draft === "string" ? draft : "";
  const type = INPUT_TYPES[shape.name];
  const name = shape.name === "DateTime" ? "DateTime, UTC" : shape.name;

  let input;
  if (shape.kind === "enum" || (shape.name === "Boolean" && shape.nullable)) {
    const names = shape.type?.members.map((member) => member.name) ?? ["true", "false"];
    const read = (text: string): Draft => (text === "" ? undefined : shape.type ? text : text === "true");
    input = (
      <select {...common} value={draft === undefined ? "" : String(draft)} onChange={(e) => onChange(read(e.target.value))}>
        {shape.nullable && <option value="">none</option>}
        {names.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    );
  } else if (shape.name === "FileId") {
    input = <FileField {...{ id, label, value, onChange }} note={`${id}-note`} required={!shape.nullable} invalid={Boolean(problem)} />;
  } else if (shape.name === "Boolean") {
    input = <input {...common} type="checkbox" checked={draft === true} onChange={(e) => onChange(e.target.checked)} />;
  } else if (shape.name === "JSON") {
    const rows = Math.min(12, value.split("\n").length + 1);
    input = <textarea {...common} rows={rows} spellCheck={false} placeholder={HINTS["JSON"]} value={value} onChange={(e) => onChange(e.target.value)} />;
  } else {
    // Not `type="number"`, which discards what it cannot parse: the api's error message is more useful.
    const mode = { Int: "numeric", BigInt: "numeric", Float: "text" }[shape.name];
    const zoned = type === "datetime-local" && /(Z|[+-]\d\d:\d\d)$/.test(value);
    input = (
      <input
        {...common}
        type={zoned ? "text" : (type ?? "text")}
        {...(type ? { step: "any" } : {})}
        {...(mode ? { inputMode: mode as "numeric" | "text" } : {})}
        autoComplete="off"
        spellCheck={shape.name === "String"}
        placeholder={shape.nullable ? "none" : HINTS[shape.name]}
        value={value}
        onChange={(e) => onChange(e.target.value)}
      />
    );
  }
  return (
    <div className={["Int", "Float", "Boolean", "Date", "Time"].includes(shape.name) || shape.kind === "enum" ? "field small" : "field"}>
      <label htmlFor={id} className="label">
        {label} <Type name={name} />
        {shape.nullable && <span className="hint"> optional</span>}
      </label>
      {input}
      <Note id={`${id}-note`} description={description} problem={problem} />
    </div>
  );
}

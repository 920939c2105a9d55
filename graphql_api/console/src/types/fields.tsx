// The fields of a form: one component per shape of GraphQL type.
import { type ReactNode, useId } from "react";
import { type Member, type Shape, shapeOf, type UsedType } from "../api/task-types.ts";
import { zoneName } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { type Draft, type Drafts, emptyDraft, type Problems } from "./draft.ts";
import { FileField, FilesField } from "./file-field.tsx";
import { sentAs, ZONED } from "./zone.ts";

/** Scalars with an input type of the browser; any other is a text input. */
const INPUT_TYPES: Record<string, string> = { Date: "date", Time: "time", DateTime: "datetime-local" };
const HINTS: Record<string, string> = { Duration: "PT1H30M", UUID: "00000000-0000-0000-0000-000000000000", JSON: '{"key": [1, 2]}' };
/** Two of these fit beside each other. */
const SHORT = ["Int", "Float", "Boolean", "Date", "Time", "DateTime", "Duration"];

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
  hasDefault?: boolean;
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
      hasDefault={member.hasDefault}
      label={member.graphqlName}
      description={member.description}
      draft={drafts[member.name]}
      onChange={(draft) => onChange({ ...drafts, [member.name]: draft })}
      {...(autoFocus && index === 0 ? { autoFocus } : {})}
    />
  ));
  return members.length > 0 && <div className="fields">{fields}</div>;
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
  if (item.name === "FileId" && !item.nullable) return <FileListField {...props} shape={shape} />;
  const inLines = item.kind === "scalar" && !item.nullable && !["Boolean", "JSON"].includes(item.name);
  return inLines ? <LinesField {...props} item={item} shape={shape} /> : <ListField {...props} shape={shape} />;
}

/** What is wrong with a field or inside it: a refusal may be about an item of its value. */
function problemAt(problems: Problems, path: string): string | undefined {
  const found = Object.entries(problems).find(([place]) => place === path || place.startsWith(`${path}[`) || place.startsWith(`${path}.`));
  return found && (found[0] === path ? found[1] : `${found[0]}: ${found[1]}`);
}

function Note({ id, description, problem }: { id: string; description?: ReactNode; problem?: string | undefined }) {
  return (
    <div id={id} className="note">
      {problem && (
        <p className="problem">
          <Icon name="failed" />
          <span>{problem}</span>
        </p>
      )}
      {description && <p className="help">{description}</p>}
    </div>
  );
}

const Type = ({ name }: { name: string }) => <span className="type">{name}</span>;

const isRequired = ({ graphqlType, hasDefault }: FieldProps) => graphqlType.endsWith("!") && !hasDefault;

/** The name, whether it is required, and the type. */
const Words = ({ field, type = field.graphqlType }: { field: FieldProps; type?: string }) => (
  <>
    {field.label}
    {isRequired(field) && <span className="req"> required</span>}{" "}
    <Type name={type} />
  </>
);

function Absent(props: FieldProps & { shape: Shape }) {
  const { label, description, problems, path, graphqlType, types, onChange } = props;
  const id = useId();
  return (
    <div className="field wide" role="group" aria-labelledby={id}>
      <span className="label" id={id}>
        <Words field={props} />
      </span>
      <span className="row">
        <span className="muted small">none</span>
        <button type="button" className="btn slim" onClick={() => onChange(emptyDraft(`${graphqlType}!`, types))}>
          Set {label}
        </button>
      </span>
      <Note id={`${id}-note`} description={description} problem={problems[path]} />
    </div>
  );
}

/** A field that has fields. */
function Group({ field, remove, children }: { field: FieldProps & { shape: Shape }; remove?: string; children: ReactNode }) {
  const note = useId();
  const { description, problems, path, shape, onChange } = field;
  return (
    <fieldset className="group wide" aria-describedby={note} data-path={path} tabIndex={-1}>
      <legend>
        <Words field={field} />
        {shape.nullable && remove && <Remove label={remove} onClick={() => onChange(undefined)} />}
      </legend>
      <Note id={note} description={description} problem={problems[path]} />
      {children}
    </fieldset>
  );
}

function ObjectField(props: FieldProps & { shape: Shape }) {
  const { shape, label, draft, onChange, problems, path, types } = props;
  return (
    <Group field={props} remove={label}>
      <Members members={shape.type!.fields} drafts={(draft ?? {}) as Drafts} {...{ types, problems, path, onChange }} />
    </Group>
  );
}

function ListField(props: FieldProps & { shape: Shape }) {
  const { shape, label, draft, onChange, problems, path, types } = props;
  const items = (draft ?? []) as Draft[];
  return (
    <Group field={props} remove={label}>
      {items.map((item, index) => (
        // Items have no identity other than their index.
        <div className="item" key={index}>
          <Field
            {...{ types, problems }}
            path={`${path}[${index}]`}
            graphqlType={shape.name}
            hasDefault
            label={`${label}[${index}]`}
            draft={item}
            onChange={(next) => onChange(items.map((old, place) => (place === index ? next : old)))}
          />
          <Remove label={`${label}[${index}]`} onClick={() => onChange(items.filter((_, place) => place !== index))} />
        </div>
      ))}
      <div>
        <button type="button" className="btn slim" onClick={() => onChange([...items, emptyDraft(shape.name, types)])}>
          <Icon name="plus" />
          Add to {label}
        </button>
      </div>
    </Group>
  );
}

function FileListField(props: FieldProps & { shape: Shape }) {
  const { shape, label, draft, onChange, problems, path } = props;
  return (
    <Group field={props} remove={label}>
      <FilesField label={label} path={path} ids={(draft ?? []) as string[]} onChange={onChange} />
      {!shape.nullable && <Note id={`${path}-items`} problem={Object.entries(problems).find(([place]) => place.startsWith(`${path}[`))?.[1]} />}
    </Group>
  );
}

function Remove({ label, onClick }: { label: string; onClick(): void }) {
  return (
    <button type="button" className="btn icon quiet slim" aria-label={`Remove ${label}`} title={`Remove ${label}`} onClick={onClick}>
      <Icon name="x" />
    </button>
  );
}

/** A list of plain values: one a line, so that many can be pasted. */
function LinesField(props: FieldProps & { item: Shape; shape: Shape }) {
  const { item, shape, description, draft, onChange, problems, path } = props;
  const id = useId();
  const lines = (draft ?? []) as string[];
  const problem = problemAt(problems, path);
  return (
    <div className="field wide">
      <label htmlFor={id}>
        <Words field={props} type={`[${item.name}]`} />
      </label>
      <textarea
        id={id} className="input mono" data-path={path}
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

function LeafField(props: FieldProps & { shape: Shape }) {
  const { shape, label, description, draft, onChange, problems, path, autoFocus } = props;
  const id = useId();
  const problem = problemAt(problems, path);
  const common = {
    id,
    "data-path": path,
    "aria-invalid": Boolean(problem),
    "aria-required": isRequired(props) && shape.name !== "Boolean" ? true : undefined,
    "aria-describedby": `${id}-note`,
    ...(autoFocus ? { autoFocus } : {}),
  };
  const value = typeof draft === "string" ? draft : "";
  const type = INPUT_TYPES[shape.name];
  let zone: string | undefined;
  let input;
  if (shape.kind === "enum" || (shape.name === "Boolean" && shape.nullable)) {
    const names = shape.type?.members.map((member) => member.name) ?? ["true", "false"];
    const read = (text: string): Draft => (text === "" ? undefined : shape.type ? text : text === "true");
    input = (
      <select {...common} className="select" value={draft === undefined ? "" : String(draft)} onChange={(e) => onChange(read(e.target.value))}>
        {(shape.nullable || draft === undefined) && <option value="">none</option>}
        {names.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    );
  } else if (shape.name === "FileId") {
    input = <FileField {...{ id, label, path, value, onChange }} note={`${id}-note`} required={isRequired(props)} invalid={Boolean(problem)} />;
  } else if (shape.name === "Boolean") {
    return (
      <div className="field">
        <label className="tick">
          <input {...common} type="checkbox" checked={draft === true} onChange={(e) => onChange(e.target.checked)} />
          {label} <Type name={props.graphqlType} />
        </label>
        <Note id={`${id}-note`} description={description} problem={problem} />
      </div>
    );
  } else if (shape.name === "JSON") {
    const rows = Math.min(12, value.split("\n").length + 1);
    input = <textarea {...common} className="input mono" rows={rows} spellCheck={false} placeholder={HINTS["JSON"]} value={value} onChange={(e) => onChange(e.target.value)} />;
  } else {
    // Not `type="number"`, which discards what it cannot parse: a word about it is more useful.
    const mode = { Int: "numeric", BigInt: "numeric", Float: "text" }[shape.name];
    const zoned = type === "datetime-local" && ZONED.test(value);
    const sent = type === "datetime-local" ? sentAs(value) : undefined;
    if (type === "datetime-local" && !zoned) zone = `${zoneName()}.${sent && !zoneName().startsWith("UTC") ? ` Sent as ${sent}.` : ""}`;
    input = (
      <input
        {...common}
        className={mode || HINTS[shape.name] ? "input mono" : "input"}
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
    <div className={SHORT.includes(shape.name) || shape.kind === "enum" ? "field" : "field wide"}>
      <label htmlFor={id}>
        <Words field={props} />
      </label>
      {input}
      <Note id={`${id}-note`} description={[zone, description].filter(Boolean).join(" ")} problem={problem} />
    </div>
  );
}

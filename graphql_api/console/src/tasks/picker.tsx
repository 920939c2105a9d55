// A list that is searched by typing: arrow keys move, Enter takes (the combobox pattern of the ARIA Authoring Practices).
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Icon, type IconName } from "../ui/icon.tsx";

export interface Option {
  value: string;
  label: ReactNode;
  /** What is searched beside the value. */
  words?: string;
  icon?: IconName;
  chosen?: boolean;
}

interface PickerProps {
  label: string;
  placeholder: string;
  /** Those that the text leaves are shown; a function makes them of the text. */
  options: Option[] | ((text: string) => Option[]);
  onPick(value: string): void;
  /** Called instead with what was typed, if no option has it. */
  onText?(text: string): void;
  autoFocus?: boolean;
}

const MOST = 50;

export function Picker({ label, placeholder, options, onPick, onText, autoFocus = true }: PickerProps) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (autoFocus) field.current?.focus();
  }, [autoFocus]);
  const wanted = text.trim().toLowerCase();
  const all = typeof options === "function" ? options(text.trim()) : options;
  const shown = (typeof options === "function" ? all : all.filter(({ value, words }) => `${value} ${words ?? ""}`.toLowerCase().includes(wanted))).slice(0, MOST);
  const current = Math.min(at, shown.length - 1);
  useEffect(() => {
    list.current?.children[current]?.scrollIntoView({ block: "nearest" });
  }, [current]);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length > 0) {
      event.preventDefault();
      setAt((current + step + shown.length) % shown.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = shown[current];
      if (option) onPick(option.value);
      else if (text.trim()) onText?.(text.trim());
    }
  };

  return (
    <div className="picker">
      <div className="searchbox">
        <Icon name="search" />
        <input
          ref={field} type="text" role="combobox" aria-label={label} aria-expanded="true" aria-controls={id} aria-autocomplete="list"
          aria-activedescendant={current >= 0 ? `${id}-${current}` : undefined} placeholder={placeholder} autoComplete="off" spellCheck={false}
          value={text} onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={onKeyDown}
        />
      </div>
      <ul ref={list} id={id} role="listbox" aria-label={label}>
        {shown.map(({ value, label: name, icon, chosen }, index) => (
          <li
            key={value} id={`${id}-${index}`} role="option" aria-selected={index === current}
            onPointerMove={() => setAt(index)} onClick={() => onPick(value)}
          >
            {icon && <Icon name={icon} />}
            <span className="clip grow">{name}</span>
            {chosen && <><Icon name="check" /><span className="visually-hidden">chosen</span></>}
          </li>
        ))}
      </ul>
      {shown.length === 0 && <p className="muted small picker-none" role="status">{onText && text.trim() ? `Enter takes “${text.trim()}”` : "Nothing of this name"}</p>}
      {all.length > MOST && shown.length === MOST && <p className="muted small picker-none">The first {MOST}; type to see others</p>}
    </div>
  );
}

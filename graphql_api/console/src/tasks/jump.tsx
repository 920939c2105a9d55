// Search from every page: a task by its id or text, a task type by its name, a page.
import { useState } from "react";
import { useKeys } from "../app/keyboard.ts";
import { address, go } from "../app/route.ts";
import { Icon } from "../ui/icon.tsx";
import { Dialog } from "../ui/overlay.tsx";
import type { TaskType } from "../api/task-types.ts";
import { taskIdIn } from "./filters.ts";
import { type Option, Picker } from "./picker.tsx";

const PAGES: Option[] = [
  { value: "#/tasks", label: "Tasks", icon: "list" },
  { value: "#/tasks?state=failed&since=today", label: "Tasks that failed today", icon: "failed" },
  { value: "#/types", label: "Task types", icon: "types" },
  { value: "#/cluster", label: "Cluster", icon: "cluster" },
];

/** What the typed text may mean, as addresses. */
export function meanings(text: string, types: TaskType[]): Option[] {
  const taskId = taskIdIn(text);
  if (taskId) return [{ value: `#/tasks/${taskId}`, label: `Open the task ${taskId}`, icon: "right" }];
  const wanted = text.toLowerCase();
  const found = (words: string) => words.toLowerCase().includes(wanted);
  const names = types.filter(({ name, description }) => found(name) || (wanted.length > 2 && found(description)));
  names.sort((one, other) => Number(!one.name.toLowerCase().startsWith(wanted)) - Number(!other.name.toLowerCase().startsWith(wanted)));
  return [
    ...(text ? [{ value: address(["tasks"], { q: text }), label: `Search tasks for “${text}”`, icon: "search" } satisfies Option] : []),
    ...PAGES.filter(({ label }) => found(String(label))),
    ...names.map(({ name }): Option => ({ value: address(["types", name]), label: `Run ${name}`, icon: "play" })),
  ];
}

export function Jump({ types }: { types: TaskType[] }) {
  const [open, setOpen] = useState(false);
  useKeys({ "/": { what: "Search", run: () => setOpen(true) } });
  return (
    <>
      <button type="button" className="jump" aria-label="Search or paste an id" aria-keyshortcuts="/" onClick={() => setOpen(true)}>
        <Icon name="search" />
        <span>Search or paste an id</span>
        <kbd aria-hidden="true">/</kbd>
      </button>
      {open && (
        <Dialog title="Search" onClose={() => setOpen(false)} actions={<button type="button" className="btn" onClick={() => setOpen(false)}>Close</button>}>
          <Picker
            label="Search" placeholder="An id, a text, a task type, a page" options={(text) => meanings(text, types)}
            onPick={(to) => {
              setOpen(false);
              go(to);
            }}
          />
        </Dialog>
      )}
    </>
  );
}

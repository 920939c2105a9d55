// The way to the parts of a task's page, each of which has an address.
import { useEffect } from "react";
import { address } from "../app/route.ts";

const SECTIONS = [["error", "Error"], ["result", "Result"], ["timeline", "Timeline"], ["logs", "Logs"], ["family", "Family"], ["input", "Input"], ["related", "Related"]] as const;

export type SectionName = (typeof SECTIONS)[number][0];

interface SectionsProps {
  taskId: string;
  current: string | undefined;
  has: Record<SectionName, boolean>;
  /** The result is not whole yet. */
  partial: boolean;
}

export function Sections({ taskId, current, has, partial }: SectionsProps) {
  const shown = SECTIONS.filter(([name]) => has[name]);
  const chosen = shown.find(([name]) => name === current)?.[0] ?? shown[0]?.[0];
  return (
    <nav className="tabs" aria-label="Sections">
      {shown.map(([name, title]) => (
        <a key={name} href={address(["tasks", taskId, name])} aria-current={name === chosen ? "true" : undefined} onClick={() => scrollTo(name)}>
          {name === "result" && partial ? "Result so far" : title}
        </a>
      ))}
    </nav>
  );
}

const scrollTo = (name: string) => document.getElementById(name)?.scrollIntoView({ block: "start" });

/** Shows the part that the address names, as soon as it is there. */
export function useSection(name: string | undefined, ready: boolean): void {
  useEffect(() => {
    if (name && ready) scrollTo(name);
  }, [name, ready]);
}

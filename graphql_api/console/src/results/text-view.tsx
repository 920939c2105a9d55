// Texts: short ones as they are, long ones folded.
import { useState } from "react";
import { CopyIcon } from "../ui/copy.tsx";
import { count, counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { saveText } from "../ui/save.ts";

/** Of a longer text only the start is shown at first. */
const FOLDED_CHARACTERS = 4000;
/** A browser cannot lay out more in a moment; the file has it all. */
const SHOWN_CHARACTERS = 200_000;

export function TextView({ text, name }: { text: string; name: string }) {
  const [all, setAll] = useState(false);
  const shown = text.slice(0, all ? SHOWN_CHARACTERS : FOLDED_CHARACTERS);
  const hidden = text.length - shown.length;
  return (
    <>
      <pre className="codeblock tall" tabIndex={0} role="region" aria-label={name}>{shown}{hidden > 0 && "…"}</pre>
      <p className="row small muted">
        <span>{counted(text.length, "character")}</span>
        {hidden > 0 && !all && <button type="button" className="btn slim soft" onClick={() => setAll(true)}>Show all, {count(hidden)} more</button>}
        {hidden > 0 && all && <span>Save the text to see the rest</span>}
        <CopyIcon text={() => text} what="the whole text" />
        <button type="button" className="btn icon quiet slim" aria-label="Save the text" title="Save the text" onClick={() => saveText(text, `${name}.txt`)}><Icon name="download" /></button>
      </p>
    </>
  );
}

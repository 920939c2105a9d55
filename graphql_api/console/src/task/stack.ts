// A Python traceback as frames.

export interface Frame {
  function: string;
  /** The end of the path: `churn/features.py`. */
  file: string;
  path: string;
  line: number;
  /** The source line, and marks below it if Python has set any. */
  source: string;
  marks: string;
  /** The package that it belongs to; undefined for a person's own code. */
  library: string | undefined;
}

/** What was raised, and through which frames; a traceback has several if one exception led to another. */
export interface Raised {
  /** Where it was raised comes first. */
  frames: Frame[];
  /** The lines after the frames: `ValueError: …`. */
  message: string;
}

const FRAME = /^\s+File "(.+)", line (\d+)(?:, in (.+))?$/;

/** The last one that was raised comes first; nothing if the text has no frames. */
export function raisedIn(traceback: string): Raised[] {
  const all: Raised[] = [];
  let raised: Raised = { frames: [], message: "" };
  for (const line of traceback.split("\n")) {
    const frame = FRAME.exec(line);
    const last = raised.frames.at(-1);
    // Frames of a deep recursion that Python leaves out.
    if (/^\s+\[Previous line repeated /.test(line)) continue;
    if (line.startsWith("Traceback (")) {
      if (raised.frames.length) all.push(raised);
      raised = { frames: [], message: "" };
    } else if (frame) raised.frames.push(frameOf(frame[1]!, Number(frame[2]), frame[3] ?? "the module"));
    else if (last && raised.message === "" && /^\s{4}/.test(line)) {
      if (/^[\s~^]+$/.test(line)) last.marks = line.slice(4);
      else last.source += `${last.source && "\n"}${line.slice(4)}`;
    } else if (last && line.trim() && !/^(During handling|The above exception)/.test(line)) raised.message += `${raised.message && "\n"}${line}`;
  }
  if (raised.frames.length) all.push(raised);
  return all.map(({ frames, message }) => ({ frames: frames.toReversed(), message })).toReversed();
}

function frameOf(path: string, line: number, name: string): Frame {
  const library = /(?:site|dist)-packages[/\\]([^/\\.]+)/.exec(path)?.[1] ?? (/[/\\]lib[/\\]python3[^/\\]*[/\\]/.test(path) || path.startsWith("<frozen") ? "Python" : undefined);
  return { function: name, file: path.split(/[/\\]/).slice(-2).join("/"), path, line, source: "", marks: "", library };
}

/** Neighbours of one library together; each frame of a person's own code alone. */
export function grouped(frames: Frame[]): Frame[][] {
  const groups: Frame[][] = [];
  for (const frame of frames) {
    const last = groups.at(-1);
    if (frame.library && last?.[0]?.library) last.push(frame);
    else groups.push([frame]);
  }
  return groups;
}

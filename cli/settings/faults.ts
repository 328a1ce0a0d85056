import { TailraceError } from "../../core/errors.js";

/** One thing that is wrong with the settings file. */
export interface Fault {
  /** `log.brokers[0]`; empty for the file as a whole. */
  readonly path: string;
  /** From 1; null when it cannot be told. */
  readonly line: number | null;
  readonly what: string;
}

/** All faults of a file at once: nobody should have to run a command ten times to hear of ten mistakes. */
export class SettingsRefused extends TailraceError {
  readonly file: string;
  readonly faults: readonly Fault[];

  constructor(file: string, faults: readonly Fault[]) {
    const first = faults[0];
    const what =
      faults.length === 1 && first !== undefined
        ? `${first.path === "" ? "The file" : first.path} ${first.what}`
        : `${faults.length} settings are refused`;
    super("settings.refused", { what, where: { file, ...(faults.length === 1 && first?.line ? { line: first.line } : {}) } });
    this.file = file;
    this.faults = faults;
  }
}

export function formatPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

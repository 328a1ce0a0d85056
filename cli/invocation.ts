/** What every verb gets: its words and options, the global options, the two streams, and a signal that fires on SIGTERM and SIGINT. */
import { TailraceError } from "../core/errors.js";
import type { ExitCode, Stage } from "./exit-codes.js";
import { parseDuration } from "./output/format.js";
import type { Output } from "./output/output.js";
import type { LoadedSettings } from "./settings/load-settings.js";

export interface GlobalOptions {
  readonly config: string;
  readonly yes: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** null: the verb's own default. */
  readonly timeoutMs: number | null;
}
export interface Invocation {
  readonly words: readonly string[];
  readonly options: VerbOptions;
  readonly globals: GlobalOptions;
  readonly out: Output;
  readonly signal: AbortSignal;
  /** Reads, checks and wraps the settings file; the work is done on the first call. */
  readonly settings: () => Promise<LoadedSettings>;
  /** Says what the verb is doing, which decides the exit code of an error from here on. */
  readonly stage: (stage: Stage) => void;
}
export type Verb = (invocation: Invocation) => Promise<ExitCode>;

/** Options as commander leaves them, read by name and type. */
export class VerbOptions {
  constructor(private readonly values: Readonly<Record<string, unknown>>) {}

  flag(name: string): boolean {
    return this.values[name] === true;
  }

  text(name: string): string | null {
    const value = this.values[name];
    return typeof value === "string" ? value : null;
  }

  count(name: string, range: { readonly least: number; readonly most: number; readonly fallback: number }): number {
    const text = this.text(name);
    if (text === null) return range.fallback;
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= range.least && value <= range.most) return value;
    throw usage(`--${name} must be a whole number from ${range.least} to ${range.most}`);
  }

  /** null: not given. */
  durationMs(name: string): number | null {
    const text = this.text(name);
    return text === null ? null : durationOf(text, `--${name}`);
  }
}

export function durationOf(text: string, name: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw usage(`${name} must be a duration such as 500ms, 60s or 5m`);
  return ms;
}

export const usage = (what: string): TailraceError => new TailraceError("usage.refused", { what });

/** A destructive verb without `--yes` on something that cannot ask. */
export function requireYes(invocation: Invocation, verb: string): void {
  if (!invocation.globals.yes) throw usage(`${verb} asks for --yes; nothing was changed`);
}

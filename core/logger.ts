/** The log of a process: one JSON object a line on stderr. stdout belongs to the command's answer. */
import { destination, type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

export interface LoggerOptions {
  /** Closed list: debug shows what Tailrace does, warn only what degrades. */
  readonly level: "debug" | "info" | "warn";
  /** In every line. */
  readonly base: Readonly<Record<string, string>>;
  /** Default: stderr. Gets each line whole. */
  readonly write?: (line: string) => void;
}

export function createLogger({ level, base, write }: LoggerOptions): Logger {
  const options = {
    level,
    base: { ...base },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Written at once: a line about a crash must not die with the process that wrote it.
  return pino(options, write === undefined ? destination({ fd: 2, sync: true }) : { write });
}

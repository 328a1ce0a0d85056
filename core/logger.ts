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
  return pino(options, write === undefined ? stderr() : { write });
}

/** Lines that wait while the disk of a redirected stderr is full; what is beyond is lost. */
const waitingBytesMax = 1024 * 1024;

function stderr(): ReturnType<typeof destination> {
  // Written at once: a line about a crash must not die with the process that wrote it.
  const stream = destination({ fd: 2, sync: true, maxLength: waitingBytesMax });
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A full disk costs log lines, not the service. A reader that has gone (EPIPE) ends it: nobody would hear anything any more.
    if (!/^(ENOSPC|EDQUOT|EFBIG|EIO)$/.test(error.code ?? "")) throw error;
  });
  return stream;
}

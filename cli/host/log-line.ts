/** A log line of a service, as JSON from its process, made short for a person at a terminal. */
import { printable } from "../../core/errors.js";
import type { Paint } from "../output/output.js";
import type { Role } from "../supervisor/messages.js";

interface Line {
  readonly level?: unknown;
  readonly time?: unknown;
  readonly msg?: unknown;
}

export function humanLine(role: Role, line: string, paint: Paint): string {
  const parsed = parse(line);
  if (parsed === null) return `${paint.dim(role)} ${printable(line)}`;
  const time = typeof parsed.time === "string" ? parsed.time.slice(11, 19) : "--:--:--";
  const level = parsed.level === "error" ? paint.red("error") : parsed.level === "warn" ? paint.yellow("warn ") : paint.dim("info ");
  return `${paint.dim(time)} ${role.padEnd(6)} ${level} ${printable(typeof parsed.msg === "string" ? parsed.msg : line)}`;
}

/** Errors that a child prints for people have been logged as well; only JSON lines are news. */
export const isLogLine = (line: string): boolean => parse(line) !== null;

function parse(line: string): Line | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Line;
  } catch {
    return null;
  }
}

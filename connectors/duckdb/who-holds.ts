import { holdersOf } from "./holders.js";

/** Who has a DuckDB file open, in words. */
export function whoHolds(path: string): string {
  const holders = holdersOf(path);
  if (holders === null) return "this system does not say who has the file open";
  if (holders.length === 0) return "nobody on this machine has the file open at this moment";
  const named = holders.map(({ pid, program, writes }) => `${program ?? "a program"} (PID ${pid}${writes ? "" : ", read-only"})`);
  return `${named.join(", ")} ${holders.length === 1 ? "has" : "have"} the file open`;
}

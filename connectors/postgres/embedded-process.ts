/** Processes by pid and time of birth, so that a pid used again is not taken for the one that had it before. */
import { readFileSync } from "node:fs";

/** `pid:birth`; birth is empty where /proc is missing, and then only the pid counts. */
export const ownIdentity = (): string => identityOf(process.pid);

export const identityOf = (pid: number): string => `${pid}:${stat(pid)?.birth ?? ""}`;

export function isAlive(identity: string): boolean {
  const [pidText = "", birth = ""] = identity.split(":");
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0 || !canSignal(pid)) return false;
  const now = stat(pid);
  if (now === null) return true;
  // A zombie is dead: in a container without init nobody may ever collect it.
  return now.state !== "Z" && (birth === "" || birth === now.birth);
}

/** False when it is certainly another program. */
export function mayBeRunning(pid: number, program: string): boolean {
  if (!isAlive(`${pid}:`)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(program);
  } catch {
    return true;
  }
}

function canSignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

function stat(pid: number): { readonly state: string; readonly birth: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets and may hold anything; the third is the state, the 22nd the time of birth.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", birth: fields[19] ?? "" };
  } catch {
    return null;
  }
}

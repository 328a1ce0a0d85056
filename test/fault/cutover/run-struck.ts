/** A command that moves an application, struck once one of its steps has begun: the tool itself, or one of the processes that `run` supervises. */
import { createInterface } from "node:readline";
import type { CutoverState } from "../../../core/cutover/states.js";
import { start } from "../../cli/command.js";
import type { Operator } from "../../e2e/operator.js";
import { until } from "../../support/oracles/until.js";

export interface ToolStrike {
  /** `tool`, `tool at a point` (it kills itself right before or after the step is written down), a role, or one of `others`. */
  readonly victim: string;
  readonly step: CutoverState;
  readonly afterMs: number;
}
export interface StruckCommand {
  readonly words: readonly string[];
  readonly strike: ToolStrike;
  /** How victims are struck that are neither the tool nor a process of `run`. */
  readonly others?: Readonly<Record<string, () => Promise<unknown>>>;
}

/** Answers the tool's exit code; null: it was killed. */
export async function runStruck(operator: Operator, { words, strike, others = {} }: StruckCommand): Promise<number | null> {
  const { victim, step, afterMs } = strike;
  const killsItself = victim === "tool at a point";
  const env: Record<string, string> = killsItself ? { TAILRACE_CUTOVER_CRASH_AT: `${step}.${afterMs % 2 === 0 ? "before" : "after"}` } : {};
  const tool = start([...words, "--progress", "json", "--json"], { cwd: operator.folder, env });
  const hit = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    if (victim === "tool") tool.child.kill("SIGKILL");
    else await (others[victim]?.() ?? killRole(operator, victim));
  };
  let struck: Promise<void> = Promise.resolve();
  let isDue = !killsItself;
  if (tool.child.stderr !== null) {
    createInterface({ input: tool.child.stderr }).on("line", (line) => {
      if (!isDue || !line.includes(`"step":"${step}"`) || !line.includes('"begins"')) return;
      isDue = false;
      struck = hit();
    });
  }
  await tool.ended;
  await struck;
  return tool.child.exitCode;
}

/** Kills what `run` has for the role now; false: nothing, or it has ended by itself just now. */
export async function killRole(operator: Operator, role: string): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${operator.port}/status`);
  const { processes } = (await answer.json()) as { processes: { role: string; pid: number | null }[] };
  const pid = processes.find((process) => process.role === role)?.pid ?? null;
  if (pid === null) return false;
  try {
    return process.kill(pid, "SIGKILL");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw thrown;
  }
}

/** As above, and waits for one that is being started again. */
export function killRoleOnceThere(operator: Operator, role: string): Promise<void> {
  return until(
    () => killRole(operator, role),
    60_000,
    () => `${role} does not run`,
  );
}

import type { ExitCode } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";

const actions: Readonly<Record<string, () => Promise<(invocation: Invocation) => Promise<ExitCode>>>> = {
  run: async () => (await import("../verify/run.js")).verifyRun,
  status: async () => (await import("../verify/status.js")).verifyStatus,
  show: async () => (await import("../verify/show.js")).verifyShow,
  repair: async () => (await import("../verify/repair.js")).verifyRepair,
};

export const verb: Verb = async (invocation) => {
  const [action = ""] = invocation.words;
  const load = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (load === undefined) throw usage(`verify knows ${Object.keys(actions).join(", ")}, not '${action}'`);
  return await (await load())(invocation);
};

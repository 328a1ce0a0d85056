import { type ExitCode, exits } from "../exit-codes.js";
import type { Role } from "../supervisor/messages.js";
import { type Invocation, usage, type Verb } from "../invocation.js";

export const verb: Verb = async (invocation) => {
  const role = invocation.words[0] ?? "all";
  if (role === "console") throw usage("run console comes with a later version; source, sink, verify, reverse and all are here");
  if (role !== "all" && role !== "source" && role !== "sink" && role !== "verify" && role !== "reverse")
    throw usage(`run knows source, sink, verify, reverse and all, not '${role}'`);
  const { settings } = await invocation.settings();
  if (invocation.options.flag("apply")) {
    const { applyPipeline } = await import("../pipeline/apply.js");
    await applyPipeline(invocation, settings, { setWal: false });
  }
  invocation.stage("serving");
  return role === "all" ? await runAll(invocation) : await runRole(invocation, role);
};

async function runRole(invocation: Invocation, role: Role): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { verbose, quiet } = invocation.globals;
  const { serveRole } = await import("../host/serve-role.js");
  await serveRole({ settings, role, level: verbose ? "debug" : quiet ? "warn" : "info" }, invocation.signal);
  return exits.done;
}

async function runAll(invocation: Invocation): Promise<ExitCode> {
  const { runSupervised } = await import("../host/run-supervised.js");
  return await runSupervised(invocation, await invocation.settings());
}

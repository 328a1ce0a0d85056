/**
 * Hooks tell applications that switch by configuration: a command, or an HTTP request. Each hears of every version of the route that stands, after it is
 * durable, and perhaps more than once; what it does must bear that. `version` rises, so an older one can be ignored.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { RouteState } from "../../core/contracts/cutover.js";
import { TailraceError } from "../../core/errors.js";
import type { RouteHook } from "../../core/settings.js";
import { timeLimit } from "../../core/time-limit.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import type { RouteHooks } from "./parts.js";

export interface HookOptions {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly hooks: readonly RouteHook[];
  /** Commands run here. */
  readonly directory: string;
}

const hookMs = 10_000;
const run = promisify(execFile);

export class ConfiguredHooks implements RouteHooks {
  constructor(private readonly options: HookOptions) {}

  async tell(route: RouteState, signal: AbortSignal): Promise<void> {
    // One after the other, in the order of the settings: what a hook relies on stands before it.
    for (const hook of this.options.hooks) {
      using limit = timeLimit(signal, hookMs);
      await this.#call(hook, route, limit.signal);
    }
  }

  async #call(hook: RouteHook, route: RouteState, signal: AbortSignal): Promise<void> {
    const { pipeline, group } = this.options;
    try {
      switch (hook.kind) {
        case "command":
          await this.#command(hook.command, route, signal);
          return;
        case "http":
          await post(hook.url, { pipeline, group, side: route.side, version: route.version }, signal);
          return;
        default:
          unreachable(hook);
      }
    } catch (cause) {
      const name = hook.kind === "command" ? hook.command.join(" ") : hook.url;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TailraceError("cutover.hook", {
        what: `A hook failed for the route '${route.side}' (version ${route.version}): ${why}`,
        where: { hook: name },
        cause,
      });
    }
  }

  async #command(words: readonly string[], route: RouteState, signal: AbortSignal): Promise<void> {
    const [program = "", ...rest] = words;
    const { pipeline, group, directory } = this.options;
    const told = {
      TAILRACE_PIPELINE: pipeline,
      TAILRACE_GROUP: String(group),
      TAILRACE_ROUTE: route.side,
      TAILRACE_ROUTE_VERSION: String(route.version),
    };
    await run(program, rest, { cwd: directory, env: { ...process.env, ...told }, signal });
  }
}

async function post(url: string, body: object, signal: AbortSignal): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
}

/** `run` without a role: both services as children, one endpoint for all, and one screen (or one line now and then) for whoever looks. */
import { systemClock } from "../../core/clock.js";
import type { Settings } from "../../core/settings.js";
import type { ServiceStatus } from "../../core/status.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import type { ExitCode } from "../exit-codes.js";
import { prometheusMetrics } from "../http/prometheus-metrics.js";
import { serveHttp } from "../http/server.js";
import type { Invocation } from "../invocation.js";
import { httpAddress } from "../pipeline/places.js";
import type { LoadedSettings } from "../settings/load-settings.js";
import type { ChildView } from "../supervisor/child.js";
import { Supervisor } from "../supervisor/supervisor.js";
import { LiveView } from "../watch/live-view.js";
import { movers, type Role } from "../supervisor/messages.js";
import { type Heard, type PipelineView, viewOf } from "../watch/pipeline-view.js";
import { ownCommand } from "./command.js";
import { humanLine } from "./log-line.js";

const lookEveryMs = 500;

export async function runSupervised(invocation: Invocation, { file, settings }: LoadedSettings): Promise<ExitCode> {
  const { out, signal, globals } = invocation;
  const paint = out.paintError;
  const live = out.progress === "live" && !globals.quiet;
  const screen = new LiveView(out.streams.stderr, paint, systemClock);
  const supervisor = new Supervisor({
    command: ownCommand("run", "-c", file, ...(globals.verbose ? ["-v"] : []), ...(globals.quiet ? ["-q"] : [])),
    clock: systemClock,
    roles: rolesOf(settings),
    // On a terminal lines are made readable; in a pipe they stay JSON, for whatever collects logs.
    onLine: (role, line) => {
      if (live) screen.log(humanLine(role, line, paint));
      else out.streams.stderr.write(`${line}\n`);
    },
    onChange: () => {},
  });
  const metrics = prometheusMetrics({ pipeline: settings.pipeline, service: "all" });
  await using http = await serveHttp(httpAddress(settings, "all"), {
    ready: () => supervisor.readiness(),
    status: () => ({ ...supervisedView(settings, supervisor.views()), processes: supervisor.views().map(processView) }),
    metrics,
  });
  out.note(`${settings.pipeline}: source and sink are starting; status at http://${http.address.host}:${http.address.port}/status`);
  const ended = new AbortController();
  const looking = look(() => supervisedView(settings, supervisor.views()), { live, screen, invocation }, ended.signal);
  try {
    return await supervisor.run(signal);
  } finally {
    ended.abort();
    await looking;
    screen.leave();
  }
}

/** The way back stands by until a cutover opens it. */
const rolesOf = ({ verify }: Settings): readonly Role[] => [
  ...movers,
  ...(verify.rowsPerSecond > 0 ? (["verify"] as const) : []),
  "reverse",
];

interface Looker {
  readonly live: boolean;
  readonly screen: LiveView;
  readonly invocation: Invocation;
}

async function look(view: () => PipelineView, { live, screen, invocation }: Looker, signal: AbortSignal): Promise<void> {
  const { out, globals } = invocation;
  while (!signal.aborted) {
    if (out.progress === "json") out.event("status", { ...view() });
    else if (live || (out.progress === "plain" && !globals.quiet)) screen.show(view());
    await systemClock.delay(lookEveryMs, signal).catch(() => {});
  }
}

const processView = ({ role, state, pid, restarts, lastExit }: ChildView): Record<string, unknown> => ({
  role,
  state,
  pid,
  restarts,
  lastExit,
});

export function supervisedView(settings: Settings, children: readonly ChildView[]): PipelineView {
  const heard = (role: Role): Heard<ServiceStatus> => {
    const child = children.find((one) => one.role === role);
    return child === undefined ? { kind: "silent", why: "not started" } : { kind: "heard", value: statusOf(settings, child) };
  };
  return viewOf({
    pipeline: settings.pipeline,
    source: heard("source"),
    sink: heard("sink"),
    verify: rolesOf(settings).includes("verify") ? heard("verify") : null,
    reverse: rolesOf(settings).includes("reverse") ? heard("reverse") : null,
    target: { kind: "silent", why: "only the sink is asked" },
    file: null,
  });
}

/** What a role says of itself, or, while it cannot speak, what its supervisor knows. */
function statusOf(settings: Settings, { role, state, sinceMs, report, lastExit }: ChildView): ServiceStatus {
  const last: ServiceStatus = report?.status ?? {
    service: role,
    pipeline: settings.pipeline,
    state: "starting",
    why: null,
    code: null,
    attempt: null,
    sinceMs: 0,
    position: null,
    details: {},
  };
  switch (state) {
    case "running":
      return last;
    case "restarting":
      return {
        ...last,
        state: lastExit === null ? "starting" : "waiting",
        why: lastExit === null ? null : `starts again after ${lastExit}`,
      };
    case "stopped":
      return { ...last, state: "stopped", why: last.why ?? lastExit, sinceMs: systemClock.wallMs() - sinceMs };
    case "ended":
      return { ...last, state: "ended" };
    default:
      return unreachable(state);
  }
}

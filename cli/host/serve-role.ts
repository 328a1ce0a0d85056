/**
 * One role as a process: its log, metrics and HTTP endpoint around the service. Promises: /health answers from the first moment, before the
 * service could be opened; a dependency that is down at the start is waited for like one that goes down later; after the signal the process
 * ends within the grace time; so does one whose service has failed and will not close, or whose event loop does not turn any more.
 */
import { Backoff, systemClock } from "../../core/clock.js";
import { asTailraceError, describeError, explainError, isAbort, type TailraceError } from "../../core/errors.js";
import { createLogger, type Logger } from "../../core/logger.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import type { Service, ServiceStatus } from "../../core/status.js";
import type { Awaitable } from "../../core/contracts/source.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import { openReverseService } from "../../services/reverse/main.js";
import { openSinkService } from "../../services/sink/main.js";
import { openSourceService } from "../../services/source/main.js";
import { openVerifyService } from "../../services/verify/main.js";
import { exits } from "../exit-codes.js";
import { prometheusMetrics } from "../http/prometheus-metrics.js";
import { type HttpServer, type Readiness, serveHttp } from "../http/server.js";
import { httpAddress } from "../pipeline/places.js";
import { capturedBy, namedGroups, refuseUninstalled } from "../pipeline/source.js";
import { holdTargetPlace } from "../pipeline/target.js";
import type { ChildReport, Role } from "../supervisor/messages.js";
import { keepHeapLean } from "./lean-heap.js";
import { watchLoop } from "./loop-watch.js";

export interface ServeOptions {
  readonly settings: Settings;
  readonly role: Role;
  readonly level: "debug" | "info" | "warn";
}
type OpenService = Service & AsyncDisposable;

const reportEveryMs = 500;
const graceMs = 30_000;

export async function serveRole({ settings, role, level }: ServeOptions, signal: AbortSignal): Promise<void> {
  keepHeapLean();
  const log = createLogger({ level, base: { service: role, pipeline: settings.pipeline } });
  const metrics = prometheusMetrics({ pipeline: settings.pipeline, service: role });
  const host = new RoleHost(settings, role);
  const loop = watchLoop(role, stuckMs());
  await using http = await serveHttp(httpAddress(settings, role), {
    ready: () => host.ready(),
    status: () => host.status(),
    metrics,
  });
  log.info({ event: "http.listening", ...http.address }, "listening");
  const ended = new AbortController();
  const asked = abortWhenOrphaned(signal);
  const reporting = reportToParent(host, http, AbortSignal.any([asked, ended.signal]));
  const forgetLate = killWhenLate({ asked, failed: host.ending }, log);
  try {
    await host.run((s) => openRole(role, settings, { metrics, log, clock: systemClock }, s), log, asked);
  } catch (thrown) {
    // The last report says why, so that the supervisor's screen can.
    host.failed(thrown);
    report(host, http);
    throw thrown;
  } finally {
    forgetLate();
    ended.abort();
    await reporting;
    loop.stop();
  }
}

/** Tests are not as patient as we are. */
function stuckMs(): number | undefined {
  const given = Number(process.env["TAILRACE_STUCK_MS"]);
  return Number.isSafeInteger(given) && given > 0 ? given : undefined;
}

type ServiceHost = Parameters<typeof openSourceService>[2];

async function openRole(role: Role, settings: Settings, host: ServiceHost, signal: AbortSignal): Promise<OpenService> {
  if (role === "source") {
    refuseUninstalled(settings);
    return await openSourceService(settings, capturedBy(settings), host);
  }
  const place = await holdTargetPlace(settings);
  try {
    signal.throwIfAborted();
    return withPlace(await openAtTarget(role, settings, { url: place.url, host }), place);
  } catch (thrown) {
    await place[Symbol.asyncDispose]();
    throw thrown;
  }
}

function openAtTarget(
  role: Exclude<Role, "source">,
  settings: Settings,
  { url, host }: { readonly url: Secret; readonly host: ServiceHost },
): Awaitable<OpenService> {
  switch (role) {
    case "sink":
      return openSinkService(settings, url, host);
    case "verify":
      return openVerifyService(settings, url, host);
    case "reverse":
      return openReverseService(settings, { url, groups: () => namedGroups(settings) }, host);
    default:
      return unreachable(role);
  }
}

/** The sink is closed before the server that it writes to. */
function withPlace(service: OpenService, place: AsyncDisposable): OpenService {
  return {
    name: service.name,
    run: (signal) => service.run(signal),
    status: () => service.status(),
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
}

class RoleHost {
  #service: OpenService | null = null;
  #waiting: { readonly why: string; readonly code: string; readonly attempt: number; readonly nextAtMs: number } | null = null;
  #failure: TailraceError | null = null;
  readonly #ending = new AbortController();
  readonly #startedMs = systemClock.wallMs();

  constructor(
    private readonly settings: Settings,
    private readonly role: Role,
  ) {}

  async run(open: (signal: AbortSignal) => Promise<OpenService>, log: Logger, signal: AbortSignal): Promise<void> {
    await using service = await this.#opened(open, log, signal);
    this.#service = service;
    this.#waiting = null;
    try {
      await service?.run(signal);
    } finally {
      this.#ending.abort();
    }
  }

  /** The service runs no more: what is left is to close it. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  status(): ServiceStatus {
    const failure = this.#failure;
    const status = this.#service === null ? this.#notOpen() : this.#service.status();
    if (failure === null) return status;
    return { ...status, state: "stopped", why: explainError(failure), code: failure.code, attempt: null };
  }

  #notOpen(): ServiceStatus {
    const nowMs = systemClock.wallMs();
    const waiting = this.#waiting;
    return {
      service: this.role,
      pipeline: this.settings.pipeline,
      state: waiting === null ? "starting" : "waiting",
      why: waiting?.why ?? null,
      code: waiting?.code ?? null,
      attempt: waiting === null ? null : { n: waiting.attempt, nextInMs: Math.max(0, waiting.nextAtMs - nowMs) },
      sinceMs: nowMs - this.#startedMs,
      position: null,
      details: {},
    };
  }

  /** The service has ended for good. */
  failed(thrown: unknown): void {
    this.#failure = asTailraceError(thrown);
  }

  ready(): Readiness {
    const { state, why } = this.status();
    const ready = state === "running" || state === "paused";
    return { ready, why: ready ? null : `${state}${why === null ? "" : `: ${why}`}` };
  }

  /** null: told to stop before it could be opened. */
  async #opened(open: (signal: AbortSignal) => Promise<OpenService>, log: Logger, signal: AbortSignal): Promise<OpenService | null> {
    const backoff = new Backoff(200, 10_000);
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await open(signal);
      } catch (thrown) {
        if (signal.aborted && isAbort(thrown)) return null;
        const error = asTailraceError(thrown);
        if (error.verdict === "stop") throw error;
        const delayMs = backoff.next();
        this.#waiting = { why: explainError(error), code: error.code, attempt, nextAtMs: systemClock.wallMs() + delayMs };
        log.warn({ event: "service.not-open", code: error.code, attempt, delayMs }, describeError(error));
        await systemClock.delay(delayMs, signal).catch(() => {});
      }
    }
    return null;
  }
}

/** A supervisor that was killed takes its children along: two of them must never be left behind. */
function abortWhenOrphaned(signal: AbortSignal): AbortSignal {
  if (process.send === undefined) return signal;
  const orphaned = new AbortController();
  process.once("disconnect", () => orphaned.abort());
  process.channel?.unref();
  return AbortSignal.any([signal, orphaned.signal]);
}

async function reportToParent(host: RoleHost, http: HttpServer, signal: AbortSignal): Promise<void> {
  if (process.send === undefined) return;
  while (!signal.aborted) {
    report(host, http);
    await systemClock.delay(reportEveryMs, signal).catch(() => {});
  }
}

function report(host: RoleHost, http: HttpServer): void {
  if (process.send === undefined || !process.connected) return;
  process.send({ kind: "report", status: host.status(), http: http.address } satisfies ChildReport);
}

/** `failed`: the service runs no more, and nobody has asked for that. */
function killWhenLate({ asked, failed }: { readonly asked: AbortSignal; readonly failed: AbortSignal }, log: Logger): () => void {
  const signal = AbortSignal.any([asked, failed]);
  let timer: NodeJS.Timeout | null = null;
  const begin = (): void => {
    timer = setTimeout(() => {
      log.error({ event: "service.late", graceMs }, "not ended in time; nothing is lost, the next start goes on from the last commit");
      process.exit(asked.aborted ? exits.terminated : exits.fault);
    }, graceMs);
    timer.unref();
  };
  if (signal.aborted) begin();
  else signal.addEventListener("abort", begin, { once: true });
  return () => {
    signal.removeEventListener("abort", begin);
    if (timer !== null) clearTimeout(timer);
  };
}

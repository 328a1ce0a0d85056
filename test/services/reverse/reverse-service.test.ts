import { theGroup } from "../../../core/vocabulary/ids.js";
import { expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import type { Service, ServiceName, ServiceState, ServiceStatus } from "../../../core/status.js";
import { until } from "../../support/oracles/until.js";
import { ReverseService } from "../../../services/reverse/reverse-service.js";

class Part implements Service, AsyncDisposable {
  state: ServiceState = "running";
  ended = false;
  disposed = false;
  #fail: (error: Error) => void = () => {};

  constructor(readonly name: ServiceName) {}

  run(signal: AbortSignal): Promise<void> {
    this.begun += 1;
    return new Promise<void>((resolve, reject) => {
      this.#fail = reject;
      signal.addEventListener("abort", () => resolve(), { once: true });
    }).finally(() => (this.ended = true));
  }
  begun = 0;
  fail(error: Error): void {
    this.#fail(error);
  }
  status(): ServiceStatus {
    const { name: service, state } = this;
    const why = state === "running" ? null : `${service} is ${state}`;
    return { service, pipeline: "p", state, why, code: null, attempt: null, sinceMs: 0, position: `1:${service.length}:0`, details: {} };
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
    await Promise.resolve();
  }
}

function made(opening = () => Promise.resolve<string | null>(null)): {
  readonly source: Part;
  readonly sink: Part;
  readonly service: ReverseService;
} {
  const [source, sink] = [new Part("source"), new Part("sink")];
  return { source, sink, service: new ReverseService({ pipeline: "p", group: theGroup, clock: systemClock, source, sink, opening }) };
}

const begun = (part: Part): Promise<void> =>
  until(
    () => part.begun === 1,
    10_000,
    () => "it never began",
  );

it("is as the worse of its two halves, and says why", () => {
  const { source, sink, service } = made();
  expect(service.status()).toMatchObject({ service: "reverse", state: "running", why: null, position: "1:4:0" });
  sink.state = "waiting";
  expect(service.status()).toMatchObject({ state: "waiting", why: "sink is waiting" });
  source.state = "stopped";
  expect(service.status()).toMatchObject({ state: "stopped", why: "source is stopped" });
});

it("ends as a whole when one half needs a person, and without an error when it is told to", async () => {
  const { source, sink, service } = made();
  const running = service.run(new AbortController().signal);
  await begun(source);
  source.fail(new TailraceError("source.no-logical-log", { what: "gone" }));
  await expect(running).rejects.toMatchObject({ code: "source.no-logical-log" });
  expect(sink.ended).toBe(true);
  const other = made();
  const stop = new AbortController();
  const asked = other.service.run(stop.signal);
  await begun(other.source);
  stop.abort();
  await asked;
  await other.service[Symbol.asyncDispose]();
  expect([other.source.disposed, other.sink.disposed]).toEqual([true, true]);
});

it("waits for a way back that is shut to be opened anew, whoever does not answer meanwhile, and goes on by itself", async () => {
  const answers = ["first", "first", "first", new Error("away"), "second"];
  let asked = 0;
  const opening = (): Promise<string> => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? "second";
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  const { source, sink, service } = made(opening);
  const stop = new AbortController();
  const running = service.run(stop.signal);
  await begun(source);
  source.fail(new TailraceError("source.slot-lost", { what: "gone" }));
  await until(
    () => source.begun === 2 && sink.begun === 2,
    30_000,
    () => `begun ${source.begun} and ${sink.begun} times, asked ${asked} times`,
  );
  expect(asked).toBeGreaterThanOrEqual(answers.length);
  stop.abort();
  await running;
});

import { theGroup } from "../../../core/vocabulary/ids.js";
import { expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import type { Service, ServiceName, ServiceState, ServiceStatus } from "../../../core/status.js";
import { ReverseService } from "../../../services/reverse/reverse-service.js";

class Part implements Service, AsyncDisposable {
  state: ServiceState = "running";
  ended = false;
  disposed = false;
  #fail: (error: Error) => void = () => {};

  constructor(readonly name: ServiceName) {}

  run(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#fail = reject;
      signal.addEventListener("abort", () => resolve(), { once: true });
    }).finally(() => (this.ended = true));
  }
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

function made(): { readonly source: Part; readonly sink: Part; readonly service: ReverseService } {
  const [source, sink] = [new Part("source"), new Part("sink")];
  return { source, sink, service: new ReverseService({ pipeline: "p", group: theGroup, clock: systemClock, source, sink }) };
}

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
  source.fail(new TailraceError("source.slot-lost", { what: "gone" }));
  await expect(running).rejects.toMatchObject({ code: "source.slot-lost" });
  expect(sink.ended).toBe(true);
  const other = made();
  const stop = new AbortController();
  const asked = other.service.run(stop.signal);
  stop.abort();
  await asked;
  await other.service[Symbol.asyncDispose]();
  expect([other.source.disposed, other.sink.disposed]).toEqual([true, true]);
});

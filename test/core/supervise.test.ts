import { expect, it } from "vitest";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Logger } from "../../core/logger.js";
import { supervise } from "../../core/supervise.js";

it("says once why it stands by, however long that lasts, and again when the reason is another", async () => {
  const said: string[] = [];
  const note = (level: string) => (fields: object) => void said.push(`${level} ${String((fields as { code?: string }).code)}`);
  const log = { info: note("info"), warn: note("warn"), error: note("error"), debug: note("debug") } as unknown as Logger;
  const clock = { ...systemClock, delay: () => Promise.resolve() };
  const done = new AbortController();
  let sessions = 0;
  const session = (): Promise<void> => {
    sessions += 1;
    if (sessions === 30) done.abort();
    const code = sessions <= 20 ? "source.way-back-closed" : "cutover.switched";
    return Promise.reject(new TailraceError(code, { what: "nothing to do" }));
  };
  await supervise({ name: "sink", clock, log, session, onChange: () => {} }, done.signal);
  expect(said).toEqual(["info source.way-back-closed", "info cutover.switched"]);
});

/** What is made of anything that can be thrown. */
import { describe, expect, it } from "vitest";
import { asTailraceError, describeError, isAbort, TailraceError } from "../../core/errors.js";

const closesBadly = {
  [Symbol.asyncDispose]: async (): Promise<void> => {
    throw new Error("it does not close");
  },
};

async function thrownBy(inside: () => Promise<void>): Promise<unknown> {
  try {
    await using outer = closesBadly;
    await using inner = closesBadly;
    void [outer, inner];
    await inside();
  } catch (thrown) {
    return thrown;
  }
  throw new Error("nothing was thrown");
}

describe("an error that closes something which then does not close", () => {
  it("is still the one that counts", async () => {
    const cause = new TailraceError("log.append-failed", { what: "a send failed" });
    const thrown = await thrownBy(async () => {
      throw cause;
    });
    expect(asTailraceError(thrown)).toBe(cause);
  });

  it("is an abort if it was one", async () => {
    const stopped = AbortSignal.abort();
    expect(isAbort(await thrownBy(async () => stopped.throwIfAborted()))).toBe(true);
    expect(
      isAbort(
        await thrownBy(async () => {
          throw new Error("no");
        }),
      ),
    ).toBe(false);
  });

  it("is the closing itself when nothing else went wrong", async () => {
    expect(asTailraceError(await thrownBy(async () => {})).message).toBe("it does not close");
  });
});

it.each([["text"], [null], [undefined], [42], [{ toString: () => "an object" }]])(
  "whatever is thrown (%j) becomes an error of ours",
  (thrown) => {
    expect(asTailraceError(thrown).code).toBe("internal");
    expect(describeError(thrown)).toContain(String(thrown));
  },
);

/** `verify show`: rows on record as differing, with both sides' values as they are now. */
import { type ExitCode, exits } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { plural } from "../output/format.js";
import { tablesOf, withVerifier } from "../pipeline/verifier.js";
import { findingLines, findingsOf } from "./findings.js";

const stallMs = 1_000;

export async function verifyShow(invocation: Invocation): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { options, signal, out } = invocation;
  const samples = options.count("samples", { least: 1, most: 100_000, fallback: 50 });
  const showValues = options.flag("showValues");
  return await withVerifier(
    settings,
    stallMs,
    async (verifier) => {
      const name = options.text("table");
      const [only] = tablesOf(verifier, name);
      const found = await findingsOf(verifier, { table: name === null ? null : (only ?? null), samples, showValues }, signal);
      out.answer({
        kind: "VerifyShow",
        data: { pipeline: settings.pipeline, masked: !showValues, mismatches: found },
        next: found.length === 0 ? [] : ["tailrace verify repair", ...(showValues ? [] : ["tailrace verify show --show-values"])],
        text: (paint) =>
          found.length === 0
            ? paint.green("no row is on record as differing")
            : [
                paint.bold(plural(found.length, "row on record as differing", "rows on record as differing")),
                ...findingLines(found, paint),
              ].join("\n"),
      });
      return found.length === 0 ? exits.done : exits.differ;
    },
    signal,
  );
}

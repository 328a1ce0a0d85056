import { catalogue, isErrorCode } from "../../core/error-catalogue.js";
import { whatIsSafe } from "../../core/error-safety.js";
import { verdictSentence } from "../error-pages.js";
import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { renderTable } from "../output/table.js";
import { nearest } from "../settings/nearest.js";

export const verb: Verb = ({ words, out }) => {
  const codes = Object.keys(catalogue).filter(isErrorCode).toSorted();
  const code = words[0];
  if (code === undefined) {
    out.answer({
      kind: "ErrorCodes",
      data: { codes: codes.map((one) => ({ code: one, ...catalogue[one], safe: whatIsSafe(one) })) },
      next: ["tailrace explain CODE"],
      text: (paint) =>
        renderTable(
          [{ title: "CODE" }, { title: "VERDICT" }, { title: "CAUSE" }],
          codes.map((one) => [one, catalogue[one].verdict, catalogue[one].cause]),
          paint,
        ),
    });
    return Promise.resolve(exits.done);
  }
  if (!isErrorCode(code)) {
    const meant = nearest(code, codes);
    throw usage(`There is no error code '${code}'${meant === null ? "" : `; did you mean '${meant}'?`}`);
  }
  const { verdict, cause, remedy } = catalogue[code];
  const safe = whatIsSafe(code);
  out.answer({
    kind: "ErrorCode",
    data: { code, verdict, cause, safe, remedy, retryable: verdict !== "stop" },
    next: [],
    text: (paint) =>
      [
        paint.bold(code),
        `  cause    ${cause}`,
        `  safe     ${safe}.`,
        `  verdict  ${verdict}: ${verdictSentence(verdict)}`,
        `  do       ${remedy}.`,
      ].join("\n"),
  });
  return Promise.resolve(exits.done);
};

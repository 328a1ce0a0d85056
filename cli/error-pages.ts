/** docs/errors.md, made from the catalogue. */
import type { Verdict } from "../core/catalogue-entry.js";
import { catalogue, isErrorCode } from "../core/error-catalogue.js";
import { whatIsSafe } from "../core/error-safety.js";

const verdicts: Readonly<Record<Verdict, string>> = {
  retry: "transient: the service starts its session again by itself, with rising delay",
  "stand-by": "somebody else holds the place: it waits and asks again, and disturbs nothing",
  undecided: "an answer was lost: it asks the store what happened, then goes on",
  stop: "a person is needed; the service keeps its place and says so. Once that is mended, start it again (`tailrace run`)",
};

export const verdictSentence = (verdict: Verdict): string => verdicts[verdict];

export function errorsPage(): string {
  const codes = Object.keys(catalogue).filter(isErrorCode).toSorted();
  const groups = [...new Set(codes.map(groupOf))];
  return [
    "# Errors",
    "",
    "<!-- Made by `node dist/cli/generated-files.js` from core/error-catalogue.ts. Do not edit. -->",
    "",
    "Every error says what is wrong, where, and what to do next, and ends in one of these codes. `tailrace explain CODE` prints the same on the spot.",
    "",
    "| verdict | what happens by itself |",
    "|---|---|",
    ...Object.entries(verdicts).map(([verdict, sentence]) => `| ${verdict} | ${sentence} |`),
    ...groups.flatMap((group) => [
      "",
      `## ${group}`,
      "",
      "| code | verdict | cause | what is safe | what to do |",
      "|---|---|---|---|---|",
      ...codes
        .filter((code) => groupOf(code) === group)
        .map(
          (code) =>
            `| \`${code}\` | ${catalogue[code].verdict} | ${cell(catalogue[code].cause)} | ${cell(whatIsSafe(code))}. | ${cell(catalogue[code].remedy)}. |`,
        ),
    ]),
    "",
  ].join("\n");
}

const groupOf = (code: string): string => (code.includes(".") ? code.slice(0, code.indexOf(".")) : "general");
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** docs/faults.md, made from the tables that the suites run. */
import { areas, elsewhere } from "./areas.js";

export function faultsPage(): string {
  return [
    "# Faults, and what Tailrace does",
    "",
    "<!-- Made from test/fault/matrix by `npx vitest run test/fault/matrix/faults-page.test.ts -u`. Do not edit. -->",
    "",
    "What happens when something goes wrong that is not Tailrace's to decide? Each line here is a test: the fault is made on real databases, brokers and",
    "files while an application writes, and ends in exact continuation or in a stop with a code that names cause and remedy, within 30 s. Afterwards the",
    "oracles ([guarantees](guarantees.md)) must find both sides equal, every transaction once, nothing half visible. Codes are what may be said meanwhile:",
    "[errors](errors.md) says what each means. Where the machine gives a process no time for seconds, sessions may be lost and begun again besides.",
    "",
    "`long`: only with `TAILRACE_TEST_LONG=1`. `root`: needs root, for a small file system. Both are counted as skipped by name otherwise.",
    ...areas.flatMap(({ title, test, passing = [], cases }) => [
      "",
      `## ${title}`,
      "",
      `\`${test}\`${passing.length === 0 ? "" : `. What may pass by itself: ${codesOf(passing)}.`}`,
      "",
      "| fault | what Tailrace does | codes | |",
      "|---|---|---|---|",
      ...cases.map(
        ({ fault, does, codes, long, root }) =>
          `| ${cell(fault)} | ${cell(does)} | ${codesOf(codes)} | ${[long === true ? "long" : "", root === true ? "root" : ""].filter(Boolean).join(", ")} |`,
      ),
    ]),
    "",
    "## In other suites",
    "",
    "| fault | what Tailrace does | codes | test |",
    "|---|---|---|---|",
    ...elsewhere.map(({ fault, does, codes, test }) => `| ${cell(fault)} | ${cell(does)} | ${codesOf(codes)} | \`${test}\` |`),
    "",
  ].join("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|");
const codesOf = (codes: readonly string[]): string => (codes.length === 0 ? "none" : codes.map((code) => `\`${code}\``).join(" "));

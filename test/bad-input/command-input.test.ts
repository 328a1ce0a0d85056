/** The command line in places where it is not at home: no terminal, no home, no reader, no settings, arguments without end. Exit codes and no stacks. */
/* oxlint-disable no-control-regex -- control characters are what is looked for */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandOptions, program, tailrace } from "../cli/command.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-bad-command-"));
  mkdirSync(join(directory, "folder"));
  writeFileSync(join(directory, "bad.yaml"), "pipeline: [\n");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const many = (n: number): readonly string[] => Array.from({ length: n }, (_, i) => `table${i}`);

const lines: readonly (readonly [what: string, words: readonly string[], exit: number, says: RegExp, options?: CommandOptions])[] = [
  ["a device as settings", ["status", "-c", "/dev/zero"], 2, /not an ordinary file/],
  ["a folder as settings", ["status", "-c", "folder"], 2, /not an ordinary file/],
  ["an empty name as settings", ["status", "-c", ""], 2, /not an ordinary file|does not exist/],
  ["a name with a newline", ["status", "-c", "a\nb"], 2, /a\\u000ab does not exist|does not exist/],
  ["a name of 5,000 letters", ["status", "-c", "x".repeat(5_000)], 2, /cannot be read \(ENAMETOOLONG\)|ENAMETOOLONG/],
  ["settings that are no YAML", ["status", "-c", "bad.yaml"], 2, /not YAML/],
  ["settings that are not there", ["doctor"], 2, /tailrace init/],
  ["twenty thousand words", ["snapshot", ...many(20_000)], 2, /does not exist/],
  ["twenty thousand words to a verb that takes none", ["status", ...many(20_000)], 2, /too many arguments/],
  ["an option a hundred kilobytes long", [`--${"x".repeat(100_000)}`], 2, /unknown option/],
  ["an option that every object has", ["--constructor"], 2, /unknown option/],
  ["a verb that every object has", ["constructor"], 2, /unknown command/],
  ["and its prototype", ["__proto__"], 2, /unknown command/],
  ["a verb in capitals", ["STATUS"], 2, /unknown command/],
  ["a verb with a letter too many", ["statuss"], 2, /Did you mean status/],
  ["an empty verb", [""], 2, /unknown command/],
  ["escape sequences as a verb", ["\u001b]0;evil\u0007\u001b[31m"], 2, /unknown command/],
  ["a bidi override as a code", ["explain", "\u202elog.full"], 2, /no error code/],
  ["a time that is none", ["wait", "caught-up", "--timeout", "1e9y"], 2, /duration/],
  ["a negative time", ["wait", "caught-up", "--timeout", "-1s"], 2, /duration|argument missing|unknown option/],
  ["a time beyond all", ["wait", "caught-up", "--timeout", "99999999999999999999h"], 2, /duration|does not exist/],
  ["an output that is none", ["status", "-o", "xml"], 2, /Allowed choices/],
  ["no HOME, no USER, no PATH", ["version"], 0, /./, { env: { HOME: "", USER: "", PATH: "" } }],
  ["a dumb terminal", ["explain"], 0, /log\.full/, { env: { TERM: "dumb" } }],
  ["a terminal nobody knows", ["explain"], 0, /log\.full/, { env: { TERM: "\u001b[31m", COLUMNS: "-5", LANG: "xx_YY", LC_ALL: "zz" } }],
  ["a colour that is forced and refused", ["explain", "log.full"], 0, /log\.full/, { env: { FORCE_COLOR: "3", NO_COLOR: "1" } }],
];

describe("the command meets", () => {
  it.each(lines.map(([what, words, exit, says, options = {}]) => [what, { words, exit, says, options }] as const))(
    "%s",
    async (_, { words, exit, says, options }) => {
      const ended = await tailrace(words, { cwd: directory, ...options });
      expect([ended.code, ended.signal]).toEqual([exit, null]);
      const said = `${ended.stdout}${ended.stderr}`;
      expect(said).toMatch(says);
      expect(said, "no stack").not.toMatch(/\n\s+at .*:\d+/);
      expect(said, "nothing that moves a cursor").not.toMatch(/(?![\t\r\n])\p{Cc}|\u202e/u);
    },
  );

  it.each([
    ["stdout", ["explain"]],
    ["stderr", ["status", "-c", "/dev/zero"]],
  ] as const)("a reader that has gone away (%s): it ends, quietly", async (closed, words) => {
    const child = spawn(process.execPath, [program, ...words], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
    child[closed].destroy();
    const other = closed === "stdout" ? child.stderr : child.stdout;
    let said = "";
    other.on("data", (text: Buffer) => (said += text.toString()));
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    expect(signal).toBe(null);
    expect([0, 2]).toContain(code);
    expect(said).not.toMatch(/EPIPE|\n\s+at /);
  });

  it("a full disk behind stdout", async () => {
    const child = spawn("/bin/sh", ["-c", `"${process.execPath}" "${program}" explain > /dev/full`], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).not.toBe(0);
    expect(said).toMatch(/ENOSPC/);
    expect(said).not.toMatch(/\n\s+at /);
  });

  it("no streams at all", async () => {
    const child = spawn("/bin/sh", ["-c", `"${process.execPath}" "${program}" version <&- >&- 2>&-`], { stdio: "ignore" });
    const [code] = (await once(child, "close")) as [number | null];
    expect([0, 1]).toContain(code);
  });

  it("a folder that is gone", async () => {
    const gone = mkdtempSync(join(tmpdir(), "tailrace-gone-"));
    const child = spawn("/bin/sh", ["-c", `cd "${gone}" && rmdir "${gone}" && "${process.execPath}" "${program}" status`], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    expect([1, 2]).toContain(code);
    expect(said).not.toBe("");
  });
});

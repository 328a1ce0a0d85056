/** docs/cli.md, made from the program itself. */
import type { Command } from "commander";
import { exits } from "./exit-codes.js";
import { laterVerbs } from "./later-verbs.js";
import { buildProgram } from "./program.js";

const meanings: Readonly<Record<keyof typeof exits, string>> = {
  done: "done, nothing pending that the verb promised",
  fault: "unexpected fault",
  refused: "usage or settings refused, all faults listed",
  doctorError: "doctor found an error",
  differ: "data differ",
  conditionFalse: "condition false (`wait`, `--fail-if`)",
  needsPerson: "pipeline stopped on an error that needs a person",
  gateRefused: "gate refused; nothing was changed",
  undone: "started, then undone: back in the state before",
  halfWay: "stopped half-way, safe to run again",
  dependencyDown: "a dependency is down, try later",
  interrupted: "ended by SIGINT before it was done",
  terminated: "ended by SIGTERM before it was done",
};

export function cliPage(): string {
  const program = buildProgram(() => {});
  const verbs = program.commands.filter((command) => !laterVerbs.some(([name]) => name === command.name()));
  return [
    "# The command",
    "",
    "<!-- Made by `node dist/cli/generated-files.js` from cli/program.ts and cli/exit-codes.ts. Do not edit. -->",
    "",
    "`tailrace <verb>` does one thing, can be repeated, and never asks. stdout is the answer, stderr is log, progress and errors.",
    "",
    "| verb | does |",
    "|---|---|",
    ...verbs.map((verb) => `| \`${usageOf(verb)}\` | ${cell(verb.description())}${optionsOf(verb)} |`),
    "",
    `Names that are fixed and come later: ${laterVerbs.map(([name, comes]) => `\`${name}\` (${comes})`).join(", ")}.`,
    "",
    "## Flags of every verb",
    "",
    "They may stand anywhere on the line.",
    "",
    "| flag | |",
    "|---|---|",
    ...program.options.map((option) => `| \`${option.flags}\` | ${cell(option.description)} |`),
    "",
    "## Exit codes",
    "",
    "| code | meaning |",
    "|---|---|",
    ...(Object.keys(exits) as (keyof typeof exits)[]).map((name) => `| ${exits[name]} | ${meanings[name]} |`),
    "",
    "The first SIGTERM or SIGINT asks: `run` finishes the transaction in hand within 30 s and exits 0. The second one ends the process at once.",
    "",
    "## JSON",
    "",
    "With `-o json`, stdout holds one object with `apiVersion`, `kind`, the answer's own fields and `next`: what to type next. Fields may be added; ignore those that you do",
    "not know. An error is one object on stderr: `code`, `message`, `where`, `remedy`, `retryable`, and `faults` for a settings file. `tailrace explain CODE` explains a code.",
    "`--progress json` turns progress on stderr into one JSON object a line.",
    "",
    "## HTTP",
    "",
    "Each process of `run` answers on a loopback address (`http.listen`, 127.0.0.1:8731 by default; the source one port above, the sink",
    "two, the verifier three, the way back five):",
    "",
    "| path | |",
    "|---|---|",
    "| `/health` | 200 while the process lives; asks nobody |",
    "| `/ready` | 200 while it does its work (or is paused by its operator), else 503 with the reason |",
    "| `/status` | what it says of itself, as JSON |",
    "| `/metrics` | Prometheus text |",
    "",
    "A Host header that does not name this machine is answered with 421.",
    "",
  ].join("\n");
}

function usageOf(command: Command): string {
  const words = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return cell([command.name(), ...words].join(" "));
}

function optionsOf(command: Command): string {
  if (command.options.length === 0) return "";
  return `<br>${command.options.map((option) => `\`${cell(option.flags)}\` ${cell(option.description)}`).join("<br>")}`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

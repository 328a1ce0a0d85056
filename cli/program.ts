/**
 * The command line: words, flags and help. Only commander is loaded here; each verb loads what it needs when it is called, so that
 * `--help`, `version` and a typing error answer at once.
 */
import { Command, Option } from "commander";
import type { Verb } from "./invocation.js";
import { laterVerbs } from "./later-verbs.js";

export interface Called {
  readonly load: () => Promise<{ readonly verb: Verb }>;
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}
/** `call` hears which verb was asked for. It is run by the caller, not by commander. */
export function buildProgram(call: (called: Called) => void): Command {
  const program = new Command("tailrace")
    .description(
      "Moves a live SQLite or DuckDB database to PostgreSQL while the application keeps writing: every change, exactly once, in whole transactions.",
    )
    .option("-c, --config <file>", "settings file", "tailrace.yaml")
    .addOption(new Option("-o, --output <format>", "form of the answer on stdout").choices(["table", "json"]).default("table"))
    .option("--json", "the same as -o json")
    .addOption(new Option("--progress <mode>", "progress on stderr").choices(["auto", "plain", "json", "none"]).default("auto"))
    .option("-q, --quiet", "no log and no progress below warnings")
    .option("-v, --verbose", "log more; show what lies behind an error")
    .option("--yes", "do it without asking")
    .option("--timeout <duration>", "how long `wait` waits (500ms, 60s, 5m; default 60s)")
    .addHelpText("after", afterHelp)
    .showSuggestionAfterError(true)
    .helpCommand("help [verb]", "help for a verb");
  const add = adder(program, call);
  addStart(add);
  addPipeline(add);
  addOperation(add);
  addHelp(add);
  for (const [name, comes] of laterVerbs)
    add(name, `(comes with ${comes})`, () => import("./verbs/later.js"), { hidden: true, words: "[words...]", loose: true });
  return program;
}

const afterHelp = `
Start here:
  tailrace demo                              the whole path on made-up data, nothing to set up
  tailrace init --source ./shop.db           write tailrace.yaml for a database of yours
  tailrace doctor                            check everything, change nothing
  tailrace apply && tailrace run             install the capture, then copy and follow

Exit codes: 0 done, 2 usage or settings refused, 3 doctor found an error, 4 data differ, 5 condition false, 6 stopped and needs a person,
7 refused and nothing changed, 8 begun and undone, 9 stopped half-way (run it again), 75 a dependency is down.`;

interface Extra {
  /** Positional arguments in commander's notation. */
  readonly words?: string;
  readonly options?: readonly (readonly [flags: string, description: string])[];
  readonly hidden?: boolean;
  readonly loose?: boolean;
}
type Add = (name: string, description: string, load: Called["load"], extra?: Extra) => void;

function adder(program: Command, call: (called: Called) => void): Add {
  return (name, description, load, extra = {}) => {
    const command = program.command(extra.words === undefined ? name : `${name} ${extra.words}`, { hidden: extra.hidden === true });
    command.description(description);
    for (const [flags, text] of extra.options ?? []) command.option(flags, text);
    if (extra.loose === true) command.allowUnknownOption();
    command.action((...parts: unknown[]) => {
      const words = parts
        .slice(0, -2)
        .flat()
        .filter((word): word is string => typeof word === "string");
      call({ load, words: extra.loose === true ? [name, ...words] : words, options: command.opts() });
    });
  };
}

function addStart(add: Add): void {
  add("demo", "the whole path on made-up data: no set-up, ends by itself with measured figures", () => import("./verbs/demo.js"), {
    options: [
      ["--source <kind>", "sqlite (default) or duckdb"],
      ["--seconds <n>", "how long the made-up application writes (default 15)"],
      ["--rows <n>", "orders (duckdb: sales) that are there before the copy begins (default 20000)"],
      ["--keep", "leave the files behind and say where they are"],
    ],
  });
  add("init", "look at a source and write a commented tailrace.yaml", () => import("./verbs/init.js"), {
    options: [
      ["--source <file>", "the SQLite or DuckDB database"],
      ["--target <url>", "PostgreSQL to write to (default: an embedded one)"],
      ["--force", "overwrite the settings file"],
    ],
  });
  add("doctor", "check everything by name and change nothing", () => import("./verbs/doctor.js"), {
    options: [["--no-census", "leave out the scan of all values"]],
  });
}

function addPipeline(add: Add): void {
  add("plan", "what apply would do: target tables, topics, capture objects, risks in the data", () => import("./verbs/plan.js"), {
    options: [
      ["--print-sql", "only the SQL, for a DBA"],
      ["--no-census", "leave out the scan of all values"],
    ],
  });
  add("apply", "install the capture, create topics and target tables; safe to repeat", () => import("./verbs/apply.js"), {
    options: [["--set-wal", "switch the source to WAL mode (while the application is stopped)"]],
  });
  add("destroy", "remove every trace of the pipeline; lists what goes, wants --yes", () => import("./verbs/destroy.js"), {
    options: [
      ["--tables", "also drop the target tables that this pipeline created"],
      ["--open-source", "after a cutover: take the write fence of the old file away as well"],
    ],
  });
  add("run", "run the pipeline: source, sink, verify, reverse (the way back), or all under a supervisor", () => import("./verbs/run.js"), {
    words: "[role]",
    options: [["--apply", "do apply first"]],
  });
}

const group = ["--group <name>", "which table group, in a pipeline that has several"] as const;
const everyGroup = ["--group <name>", "only this table group (default: all)"] as const;

function addOperation(add: Add): void {
  add("status", "one screen: state, positions, behind, per table, what to type next", () => import("./verbs/status.js"), {
    options: [
      ["--watch", "keep it on the screen"],
      ["--fail-if <conditions>", "exit 5 when one holds: behind>1000, lag>10s, stopped"],
    ],
  });
  add("verify", "compare both sides row by row, show and mend what differs: run, status, show, repair", () => import("./verbs/verify.js"), {
    words: "<action>",
    options: [
      ["--table <name>", "only this table (default: all)"],
      ["--show-values", "show values of rows that differ (masked by default)"],
      ["--samples <n>", "rows that are shown per table (default 5)"],
      ["--watch", "with run and status: keep the picture of all ranges on the screen"],
    ],
  });
  add("wait", "wait for `caught-up`, `verified` or `state=STATE`; exit 5 when time runs out", () => import("./verbs/wait.js"), {
    words: "<condition>",
    options: [["--group <name>", "with caught-up: only this table group (default: all)"]],
  });
  add("snapshot", "copy tables again while everything goes on", () => import("./verbs/snapshot.js"), {
    words: "[tables...]",
    options: [
      ["--all", "every captured table"],
      ["--anew", "with --all: forget what the capture log holds, and begin a new history"],
    ],
  });
  add(
    "cutover",
    "switch the application over to PostgreSQL: preflight, plan, rehearse, run, abort, status, reopen, finish",
    () => import("./verbs/cutover.js"),
    {
      words: "<action>",
      options: [
        ["--max-pause <duration>", "longer than this writes may not wait, then everything goes back (default 5s)"],
        ["--max-lag <duration>", "further behind than this it does not begin (default 2s)"],
        ["--accept <checks>", "pass over these checks of preflight, by name, where that is possible"],
        ["--keep-reverse <duration>", "with finish: not before the way back was open for so long (7d)"],
        group,
      ],
    },
  );
  add(
    "rollback",
    "bring the application home to the source, with everything it wrote: plan, run, status",
    () => import("./verbs/rollback.js"),
    {
      words: "<action>",
      options: [["--max-pause <duration>", "longer than this writes may not wait, then everything goes back (default 5s)"], group],
    },
  );
  add("pause", "let the target rest; changes wait in the log", () => import("./verbs/pause.js"), { options: [everyGroup] });
  add("resume", "go on after pause", () => import("./verbs/resume.js"), { options: [everyGroup] });
}

function addHelp(add: Add): void {
  add("config", "show, validate, or print the JSON schema of the settings", () => import("./verbs/config.js"), {
    words: "<show|validate|schema>",
  });
  add("explain", "the page of an error code", () => import("./verbs/explain.js"), { words: "[code]" });
  add("completion", "shell completion: bash, zsh or fish", () => import("./verbs/completion.js"), { words: "<shell>" });
  add("version", "version of the command and of what it runs on", () => import("./verbs/version.js"));
}

/** What happens to the processes themselves, and what a fault of ours in them may do. */
import { execFileSync, spawn } from "node:child_process";
import { resolve } from "node:path";
import { listenTo, program, type Started } from "../../cli/command.js";
import { until } from "../../support/oracles/until.js";
import type { FaultArea, FaultCase, FaultGround } from "./fault-case.js";
import { Ground, livenessMs, type Role } from "./ground.js";

type Deed = "block" | "unhandled-rejection" | "throws-text" | "rejects-nothing";
const misbehave = resolve("test/support/misbehave.mjs");
/** Shorter than in earnest, and long enough for a process that gets no time on a busy machine. */
const stuckMs = "8000";

class ProcessGround implements FaultGround {
  static async make(): Promise<ProcessGround> {
    return new ProcessGround(await Ground.make());
  }

  private constructor(readonly ground: Ground) {}

  /** `words` in front of the program: a shell that sets limits. Without a role: supervised. */
  run(role: Role | null, { deed = null, shell = null }: { readonly deed?: Deed | null; readonly shell?: string | null } = {}): Started {
    const command = [program, "run", ...(role === null ? [] : [role]), "-c", this.ground.settingsFile];
    const env = {
      ...process.env,
      NO_COLOR: "1",
      ...(deed === "block" ? { TAILRACE_STUCK_MS: stuckMs } : {}),
      ...(deed === null ? {} : { NODE_OPTIONS: `--import=${misbehave}`, MISBEHAVE: deed }),
    };
    const [file, args] =
      shell === null ? [process.execPath, command] : ["bash", ["-c", `${shell}; exec "$0" "$@"`, process.execPath, ...command]];
    return listenTo(spawn(file, args, { cwd: this.ground.folder, env, stdio: ["ignore", "pipe", "pipe"] }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ground[Symbol.asyncDispose]();
  }
}

/** A sink does what no program should: it ends with `exit`, has said the code, and the next one goes on. */
function misbehaves(fault: string, deed: Deed, does: string, said: string): FaultCase<ProcessGround> {
  return {
    fault,
    does,
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.stop("sink");
      const sink = on.run("sink", { deed });
      await sink.says("sink.session");
      sink.child.kill("SIGUSR2");
      await ground.write(10);
      const { code, signal, stderr } = await sink.ended;
      if (code === 0 || !stderr.includes(said)) throw new Error(`it ended with ${code ?? signal}: ${stderr}`);
      await ground.start("sink");
    },
  };
}

const cases: readonly FaultCase<ProcessGround>[] = [
  misbehaves("The event loop is blocked", "block", "the process says process.stuck and is killed; the next one goes on", "[process.stuck]"),
  misbehaves(
    "A promise is rejected and nobody waits for it",
    "unhandled-rejection",
    "the process ends with exit 1 and `internal`",
    "internal",
  ),
  misbehaves(
    "Something that is no error is thrown in a callback",
    "throws-text",
    "the process ends with exit 1 and `internal`",
    "internal",
  ),
  misbehaves("A promise is rejected with nothing", "rejects-nothing", "the process ends with exit 1 and `internal`", "internal"),
  {
    fault: "The event loop of a supervised sink is blocked",
    does: "the supervisor starts it again",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.stop();
      const all = on.run(null, { deed: "block" });
      const [, port = ""] = /:(\d+)\/status/.exec(await all.says("/status")) ?? [];
      const sink = async (): Promise<{ readonly pid: number | null; readonly restarts: number } | null> => {
        const answer = await fetch(`http://127.0.0.1:${port}/status`).catch(() => null);
        if (answer === null) return null;
        const status = (await answer.json()) as { readonly processes: readonly { role: string; pid: number | null; restarts: number }[] };
        return status.processes.find(({ role }) => role === "sink") ?? null;
      };
      await all.says("sink.session");
      const pid = (await sink())?.pid ?? null;
      if (pid === null) throw new Error("no sink runs");
      process.kill(pid, "SIGUSR2");
      await ground.write(10);
      await until(
        async () => ((await sink())?.restarts ?? 0) > 0 && ((await ground.place())?.order ?? 0) >= ground.newestCaptured(),
        livenessMs(),
        () => "the sink was not started again",
      );
      all.child.kill("SIGTERM");
      await all.ended;
      await ground.startBoth();
    },
  },
  {
    fault: "Whoever reads the service's log goes away",
    does: "the process ends with exit 1, so that a supervisor starts it again",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.stop("source");
      const source = on.run("source");
      await source.says("source.session");
      source.child.stderr?.destroy();
      source.child.stdout?.destroy();
      // Something to say.
      ground.sql("DROP TRIGGER _cdc_1_d");
      const { code } = await source.ended;
      if (code !== 1) throw new Error(`it ended with ${code}`);
      await ground.apply();
      await ground.start("source");
    },
  },
  {
    fault: "The sink has hardly any file descriptors",
    does: "it says which limit to raise and waits; with more it goes on",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.stop("sink");
      const sink = on.run("sink");
      await sink.says("sink.session");
      // Not from the start on: a process that starts has as many modules open at once as the machine is slow.
      execFileSync("prlimit", ["--pid", String(sink.child.pid), "--nofile=16:16"]);
      const admin = await ground.client();
      await admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tailrace/%' AND datname = current_database()",
      );
      await admin.end();
      await sink.says("process.descriptors");
      sink.child.kill("SIGKILL");
      await sink.ended;
      await ground.start("sink");
    },
  },
  {
    fault: "No file may grow beyond a limit (ulimit -f)",
    does: "the source says which file cannot be written and waits; without the limit it goes on",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.stop("source");
      const source = on.run("source", { shell: "ulimit -f 1200" });
      await source.says("source.session");
      ground.sql(
        "INSERT INTO bulk (batch, payload) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT 700 + i / 500, hex(randomblob(300)) FROM n",
      );
      const stderr = await source.says("service.retry");
      source.child.kill("SIGKILL");
      await source.ended;
      if (!/"code":"(log|source)\.(unavailable|full)"/.test(stderr)) throw new Error(stderr);
      await ground.start("source");
    },
  },
];

export const processFaults: FaultArea<ProcessGround> = {
  title: "Processes",
  test: "test/fault/matrix/processes.test.ts",
  cases,
  make: () => ProcessGround.make(),
};

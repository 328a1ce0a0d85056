/** What an operator sees: assembled without inventing a number. */
import { describe, expect, it } from "vitest";
import { exitCodeOf, exits, type Stage } from "../../cli/exit-codes.js";
import { formatBytes, formatCount, formatMs, parseDuration } from "../../cli/output/format.js";
import type { Paint } from "../../cli/output/output.js";
import type { ProofState } from "../../core/contracts/verification.js";
import { heatStrip } from "../../cli/verify/heat-strip.js";
import { PaceKeeper } from "../../cli/watch/pace.js";
import { type Observed, viewOf } from "../../cli/watch/pipeline-view.js";
import { renderView } from "../../cli/watch/render-view.js";
import { catalogue, isErrorCode } from "../../core/error-catalogue.js";
import { TailraceError } from "../../core/errors.js";
import type { ServiceState, ServiceStatus } from "../../core/status.js";

const same = (text: string): string => text;
const plain: Paint = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

function service(name: "source" | "sink", state: ServiceState, details: Record<string, unknown> = {}): ServiceStatus {
  return {
    service: name,
    pipeline: "shop",
    state,
    why: state === "stopped" ? "a value does not fit" : null,
    code: state === "stopped" ? "value.range" : null,
    attempt: null,
    sinceMs: 61_000,
    position: "0:41:0",
    details,
  };
}
const heard = <T>(value: T) => ({ kind: "heard", value }) as const;
const silent = { kind: "silent", why: "nothing answers" } as const;

const streaming: Observed = {
  pipeline: "shop",
  source: heard(
    service("source", "running", {
      head: "0:42:0",
      phase: "streaming",
      behind: { changes: { kind: "known", value: 1 }, ms: { kind: "known", value: 12 } },
      reread: [{ table: "orders", state: "done", rowsRead: 10, rowsEstimated: { kind: "known", value: 10 } }],
    }),
  ),
  sink: heard(service("sink", "running")),
  target: heard({
    direction: "forward",
    applied: "0:41:0",
    phase: "streaming",
    paused: false,
    verification: null,
    tables: [{ table: "orders", target: "public.orders", taken: 12, applied: 11 }],
  }),
  verify: null,
  file: null,
};

describe("the view of a pipeline", () => {
  it("after a switch shows what comes back, and what PostgreSQL keeps for it", () => {
    const captureLog = {
      oldest: 7,
      newest: 9,
      bytes: 2_048,
      ms: 1_500,
      freeBytes: null,
      retain: "applied",
      maxBytes: 1e9,
      alarm: null,
      forgotten: false,
    };
    const back: ServiceStatus = {
      ...service("source", "running", {
        behind: { changes: { kind: "known", value: 3 }, ms: { kind: "known", value: 40 } },
        captureLog,
        log: "1:800:0",
        source: service("source", "running", { head: "1:900:0" }),
      }),
      service: "reverse",
    };
    const target = heard({
      direction: "reverse" as const,
      applied: "1:777:0",
      phase: "streaming",
      paused: false,
      verification: null,
      tables: [{ table: "orders", target: "public.orders", taken: 5, applied: 5 }],
    });
    const standing = heard({ ...service("sink", "standing-by"), code: "cutover.switched", why: "switched" });
    const view = viewOf({ ...streaming, sink: standing, target, reverse: heard(back) });
    expect(view).toMatchObject({
      state: "switched",
      direction: "reverse",
      positions: { head: "1:900:0", log: "1:800:0", applied: "1:777:0" },
      behind: { changes: 3, ms: 40, why: null },
    });
    expect(renderView(view, plain).split("\n").slice(0, 7)).toEqual([
      "shop  SWITCHED  applications write to PostgreSQL",
      "  ● source  running for 1 m 01 s",
      "  ● sink    standing-by for 1 m 01 s  switched",
      "  ● reverse running for 1 m 01 s",
      "  position  target 1:900:0   log 1:800:0   source 1:777:0",
      "  behind    3 changes   40 ms",
      "  kept log  2.0 KiB of PostgreSQL's log, oldest 1.5 s",
    ]);
    const silentBack = viewOf({ ...streaming, source: silent, sink: silent, target, reverse: silent });
    expect(silentBack).toMatchObject({ state: "switched", behind: { changes: null, ms: null } });
    expect(silentBack.behind.why).toMatch(/carries changes back does not answer/);
  });

  it("shows how far each table group is behind, on the way that it goes", () => {
    const known = (value: number) => ({ kind: "known", value }) as const;
    const source = service("source", "running", {
      behindOf: [
        { id: 1, changes: known(4), ms: known(20) },
        { id: 2, changes: known(0), ms: known(0) },
      ],
    });
    const kept = {
      oldest: 7,
      newest: 9,
      bytes: 2e9,
      ms: 1_500,
      freeBytes: null,
      retain: "applied",
      maxBytes: 1e9,
      alarm: "size",
      forgotten: false,
    };
    const reverse = {
      ...service("source", "running", {
        groups: [
          { group: "main", id: 1, state: "standing-by", why: null, code: "source.way-back-closed", details: {} },
          {
            group: "billing",
            id: 2,
            state: "running",
            why: null,
            code: null,
            details: { behind: { changes: known(7), ms: known(90) }, captureLog: kept },
          },
        ],
      }),
      service: "reverse" as const,
    };
    const group = (id: number, name: string, side: "source" | "target") =>
      ({ group: name, id, side, paused: false, phase: "streaming", applied: "0:41:0", tables: [`t${id}`] }) as const;
    const target = heard({
      direction: "forward" as const,
      applied: "0:41:0",
      phase: "streaming",
      paused: false,
      verification: null,
      tables: [],
      groups: [group(1, "main", "source"), group(2, "billing", "target")],
    });
    const view = viewOf({ ...streaming, source: heard(source), target, reverse: heard(reverse) });
    expect(view.groups?.map(({ behind }) => behind)).toEqual([
      { changes: 4, ms: 20, why: null },
      { changes: 7, ms: 90, why: null },
    ]);
    expect(view.needsPerson).toEqual([expect.stringMatching(/^group billing: /)]);
    expect(renderView(view, plain)).toContain(
      ["group    state          applied  behind    for  tables", "main     streaming      0:41:0        4  20 ms       1"].join("\n"),
    );
    const silentView = viewOf({ ...streaming, source: silent, target, reverse: silent });
    expect(silentView.groups?.map(({ behind }) => behind)).toEqual([
      { changes: null, ms: null, why: "the source service says nothing of it" },
      { changes: null, ms: null, why: "the service that carries changes back says nothing of it" },
    ]);
  });

  it("shows positions, distance and tables of a running one", () => {
    expect(renderView(viewOf(streaming), plain)).toBe(
      [
        "shop  RUNNING  phase streaming",
        "  ● source  running for 1 m 01 s",
        "  ● sink    running for 1 m 01 s",
        "  position  source 0:42:0   log 0:41:0   target 0:41:0",
        "  behind    1 changes   12 ms",
        "TABLE   TARGET         PHASE      COPIED  TAKEN  APPLIED",
        "orders  public.orders  streaming   10/10     12       11",
      ].join("\n"),
    );
  });

  it("says `-` and why when nobody answers, and what to type", () => {
    const view = viewOf({ pipeline: "shop", source: silent, sink: silent, target: silent, verify: null, file: null });
    expect(view).toMatchObject({
      state: "down",
      behind: { changes: null, ms: null, why: "the source service does not answer (nothing answers)" },
      next: ["tailrace run"],
    });
    expect(renderView(view, plain)).toContain("behind    - changes   -   (- : the source service does not answer");
  });

  it("does not count what an earlier process has read", () => {
    const reread = [
      { table: "orders", state: "done", rowsRead: 0, rowsEstimated: { kind: "unknown", why: "it was read by an earlier process" } },
    ];
    const view = viewOf({ ...streaming, source: heard(service("source", "running", { reread })) });
    expect(view.tables).toMatchObject([{ phase: "streaming", rowsRead: null, rowsEstimated: null }]);
  });

  it("calls a person before the capture log fills the disk, whoever measured it", () => {
    const captureLog = {
      bytes: 3 * 2 ** 30,
      ms: 5 * 86_400_000,
      freeBytes: 1 << 30,
      retain: "applied",
      maxBytes: 1 << 30,
      forgotten: false,
    } as const;
    const of = (alarm: "size" | "age" | "disk" | null, forgotten = false) =>
      viewOf({ ...streaming, source: heard(service("source", "running", { captureLog: { ...captureLog, alarm, forgotten } })) });
    expect(of(null)).toMatchObject({ needsPerson: [], next: [], state: "running" });
    expect(of("size")).toMatchObject({ needsPerson: [expect.stringMatching(/about 3.0 GiB, more than source.log.maxBytes \(1.0 GiB\)/)] });
    expect(of("age").needsPerson.join()).toMatch(/5 d 0 h old \(more than 6 h 00 m\)/);
    expect(of("disk")).toMatchObject({ needsPerson: [expect.stringMatching(/the disk has 1.0 GiB left/)], next: ["tailrace doctor"] });
    expect(of(null, true).needsPerson.join()).toMatch(/every table is read again/);
    expect(renderView(of("age"), plain)).toContain("  capture   about 3.0 GiB (at most 1.0 GiB, retain: applied)   oldest 5 d 0 h");
    const head = { history: 0, order: 42, index: 0 };
    const unknown = { kind: "unknown", why: "x" } as const;
    const file = heard({ head, changes: unknown, ms: unknown, captureLog: { ...captureLog, alarm: "disk" as const } });
    expect(viewOf({ ...streaming, source: silent, file }).needsPerson.join()).toMatch(/a full disk stops the application/);
  });

  it("names the state that matters most", () => {
    const withSink = (state: ServiceState): string => viewOf({ ...streaming, sink: heard(service("sink", state)) }).state;
    expect(withSink("stopped")).toBe("stopped");
    expect(withSink("paused")).toBe("paused");
    expect(withSink("waiting")).toBe("degraded");
    expect(viewOf({ ...streaming, sink: silent }).state).toBe("degraded");
    const standingBy = heard({ ...service("sink", "standing-by"), code: "cutover.switched" });
    expect(viewOf({ ...streaming, sink: standingBy })).toMatchObject({ state: "switched", next: ["tailrace cutover status"] });
    expect(
      viewOf({
        ...streaming,
        target: heard({ direction: "forward", applied: null, phase: "snapshot", paused: false, verification: null, tables: [] }),
      }).state,
    ).toBe("snapshot");
    const stopped = viewOf({ ...streaming, sink: heard(service("sink", "stopped")) });
    expect(stopped.needsPerson).toEqual(["sink stopped: a value does not fit"]);
    expect(stopped.next).toEqual(["tailrace explain value.range", "tailrace doctor", "tailrace run"]);
    expect(viewOf({ ...streaming, source: silent, sink: silent }).next).toEqual(["tailrace run"]);
    const destroyed = heard({ direction: "forward" as const, applied: null, phase: null, paused: false, verification: null, tables: [] });
    expect(viewOf({ ...streaming, source: silent, sink: silent, target: destroyed }).next).toEqual(["tailrace apply"]);
  });
});

describe("verification on the screen", () => {
  it("says how far equality is proven, and a row that differs needs a person", () => {
    const proven = viewOf({ ...streaming, verification: { provenAt: "0:41:0", oldestMs: 12_000, mismatches: 0 } });
    expect(renderView(proven, plain)).toContain("verified  proven as of 0:41:0   oldest range 12.0 s ago   no row differs");
    const differing = viewOf({ ...streaming, verification: { provenAt: null, oldestMs: null, mismatches: 3 } });
    expect(differing.needsPerson).toEqual(["3 rows differ between source and target: `tailrace verify show`, `tailrace verify repair`"]);
    expect(renderView(differing, plain)).toContain("verified  no run has compared every table yet   3 rows differ");
  });

  it("who only looks on does not decide how the pipeline is", () => {
    const view = viewOf({ ...streaming, verify: heard({ ...service("source", "stopped"), service: "verify" }) });
    expect(view.state).toBe("running");
    expect(view.services.map(({ service: name, state }) => `${name} ${state}`)).toEqual([
      "source running",
      "sink running",
      "verify stopped",
    ]);
    expect(view.needsPerson).toEqual(["verify stopped: a value does not fit"]);
  });

  it("shows the way back once it is open, and nothing of it before", () => {
    const idle = { ...service("sink", "standing-by"), service: "reverse", code: "source.way-back-closed" } as const;
    const before = viewOf({ ...streaming, reverse: heard(idle) });
    expect(before).toMatchObject({ state: "running", wayBack: null, next: [] });
    expect(renderView(before, plain)).toBe(renderView(viewOf(streaming), plain));
    const kept = { bytes: 5e9, ms: 1_000, freeBytes: null, retain: "applied", maxBytes: 1e9, alarm: "size", forgotten: false };
    const details = { behind: { changes: { kind: "known", value: 7 }, ms: { kind: "known", value: 40 } }, captureLog: kept };
    const open = viewOf({ ...streaming, reverse: heard({ ...service("sink", "running", details), service: "reverse" }) });
    expect(renderView(open, plain)).toContain("  way back  source at 0:41:0   behind 7 changes   40 ms");
    expect(open.needsPerson.join()).toMatch(/PostgreSQL keeps .* of its log for the way back/);
  });

  it("shows all ranges of a table in one strip, the worst of each cell", () => {
    expect(heatStrip([], 0, plain)).toBe("·");
    expect(heatStrip(["equal", "different", "unsettled"], 5, plain)).toBe("█▓▒··");
    const many = Array.from({ length: 1_000 }, (_, i): ProofState => (i === 500 ? "different" : "equal"));
    expect(heatStrip(many, 2_000, plain, 10)).toBe("██▓██·····");
  });
});

describe("pace", () => {
  it("is not told before five seconds and two percent, and then as a range", () => {
    const pace = new PaceKeeper();
    for (let second = 0; second <= 4; second++) expect(pace.note(second * 1000, second * 100, 10_000).eta).toBeNull();
    expect(pace.note(4_500, 450, 10_000).perSecond).toBeCloseTo(100);
    const later = pace.note(8_000, 1_150, 10_000);
    expect(later.eta?.leastMs).toBeLessThan(later.eta?.mostMs ?? 0);
    const slow = new PaceKeeper();
    for (let second = 0; second <= 10; second++) expect(slow.note(second * 1000, second, 10_000).eta).toBeNull();
  });

  it("says nothing of the end when the total is not known, reached, or when nothing moves", () => {
    for (const [step, total] of [
      [100, null],
      [100, 500],
      [0, 1_000],
    ] as const) {
      const pace = new PaceKeeper();
      let last = pace.note(0, 0, total);
      for (let second = 1; second <= 9; second++) last = pace.note(second * 1000, second * step, total);
      expect(last.eta).toBeNull();
    }
  });
});

describe("numbers for people", () => {
  it("are short, and unknown is a dash", () => {
    expect([null, 0, 0.4, 340, 4_200, 70_000, 10_920_000, 446_400_000].map(formatMs)).toEqual([
      "-",
      "0 ms",
      "0.4 ms",
      "340 ms",
      "4.2 s",
      "1 m 10 s",
      "3 h 02 m",
      "5 d 4 h",
    ]);
    expect([null, 512, 1_536, 268_435_456].map(formatBytes)).toEqual(["-", "512 B", "1.5 KiB", "256 MiB"]);
    expect([null, 1_234_567].map(formatCount)).toEqual(["-", "1,234,567"]);
    expect(["500ms", "60s", "5m", "1h", "2", "soon", "-1s"].map(parseDuration)).toEqual([
      500,
      60_000,
      300_000,
      3_600_000,
      2_000,
      null,
      null,
    ]);
  });
});

describe("exit codes", () => {
  it("follow from the error and from what the verb was doing", () => {
    const of = (code: string, stage: Stage): number => {
      if (!isErrorCode(code)) throw new Error(code);
      return exitCodeOf(new TailraceError(code, { what: "x" }), stage);
    };
    expect(of("internal", "checking")).toBe(exits.fault);
    expect(of("settings.refused", "serving")).toBe(exits.refused);
    expect(of("value.range", "serving")).toBe(exits.needsPerson);
    expect(of("source.mode", "checking")).toBe(exits.gateRefused);
    expect(of("target.unavailable", "checking")).toBe(exits.dependencyDown);
    expect(of("target.unavailable", "changing")).toBe(exits.halfWay);
  });

  it("exist for every code of the catalogue at every stage, and never say that all is well", () => {
    for (const code of Object.keys(catalogue).filter(isErrorCode)) {
      for (const stage of ["checking", "changing", "serving"] as const) {
        expect([1, 2, 6, 7, 9, 75]).toContain(exitCodeOf(new TailraceError(code, { what: "x" }), stage));
      }
    }
  });
});

/** The demo's verification: equal while the application writes, then a row is changed at the target behind everybody's back, found, and mended. */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { repair } from "../../services/verify/repair.js";
import { verifyAll } from "../../services/verify/verify-all.js";
import { formatCount, formatMs } from "../output/format.js";
import { withVerifier } from "../pipeline/verifier.js";
import { keyName, keyPart } from "../verify/findings.js";
import { differentRows, outcomeOf, sum } from "../verify/report.js";
import type { Stage } from "./stage.js";
import type { Story } from "./story.js";

export interface DemoVerification {
  readonly rows: number;
  readonly ms: number;
  /** What was found after the tampering, and nothing else. */
  readonly found: string;
  readonly foundRows: number;
  readonly repairedRows: number;
  readonly repairMs: number;
}

const stallMs = 60_000;

export interface VerificationScene {
  readonly settings: Settings;
  readonly url: Secret;
  readonly stage: Stage;
  readonly tampering: Story["tampering"];
}

export async function demonstrateVerification(
  { settings, url, stage, tampering }: VerificationScene,
  signal: AbortSignal,
): Promise<DemoVerification> {
  return await withVerifier(
    settings,
    stallMs,
    async (verifier) => {
      const equal = await stage.step("verifying", async (say) => {
        say("digests of key ranges on both sides, while the application writes");
        const startedMs = systemClock.monotonicMs();
        const result = await verifyAll(verifier, "verify-once", signal);
        const rows = sum(result.tables, (table) => table.rows);
        const ms = systemClock.monotonicMs() - startedMs;
        const said = `${formatCount(rows)} rows ${outcomeOf(result.tables)} as of position ${formatPosition(result.proven)}`;
        if (outcomeOf(result.tables) !== "equal") throw new TailraceError("internal", { what: `The demo's verification says: ${said}` });
        return { said, value: { rows, ms } };
      });
      await stage.step("tampering", async () => {
        await tamper(url, tampering.sql);
        return { said: tampering.said, value: null };
      });
      const found = await stage.step("verifying again", async () => {
        const result = await verifyAll(verifier, "verify-once", signal);
        const rows = await verifier.store.mismatches({ table: null, limit: 10 }, signal);
        const said = rows
          .map(({ table, key, columns }) => `${table} [${keyName(key.map(keyPart))}] differs in ${columns.join(", ")}`)
          .join("; ");
        return { said: `found: ${said === "" ? "nothing" : said}`, value: { said, rows: sum(result.tables, differentRows) } };
      });
      const mended = await stage.step("repairing", async () => {
        const startedMs = systemClock.monotonicMs();
        const { tables } = await repair({ ...verifier, table: null }, signal);
        const ms = systemClock.monotonicMs() - startedMs;
        const rows = tables.reduce((total, { equal: now }) => total + now, 0);
        return { said: `told again through the log, and equal ${formatMs(ms)} later`, value: { rows, ms } };
      });
      return { ...equal, found: found.said, foundRows: found.rows, repairedRows: mended.rows, repairMs: mended.ms };
    },
    signal,
  );
}

async function tamper(url: Secret, sql: string): Promise<void> {
  await using connection = await Connection.open(parseConnectionUrl(url.reveal()), { applicationName: "demo tampering", pipelined: false });
  await connection.query(sql);
}

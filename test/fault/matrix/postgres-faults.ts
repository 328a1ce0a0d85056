/** What PostgreSQL, its administrator and somebody else's sessions can do to the sink. */
import { execFileSync } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { until } from "../../support/oracles/until.js";
import { PostgresProxy } from "../../support/postgres-proxy.js";
import { PostgresServer, type ServerEnd } from "../../support/postgres-server.js";
import type { FaultArea, FaultCase, FaultGround } from "./fault-case.js";
import { Ground, livenessMs } from "./ground.js";

class PostgresGround implements FaultGround {
  static async make(): Promise<PostgresGround> {
    const server = await PostgresServer.start({ max_connections: "24" });
    const proxy = new PostgresProxy(server.address, async (pid) => {
      await server.query(`SELECT pg_terminate_backend(${pid}, 2000)`);
    });
    const port = await proxy.listen();
    const ground = await Ground.make({
      database: () => server.database(),
      targetUrl: (direct) => {
        const url = new URL(direct);
        url.port = String(port);
        return url.href;
      },
    });
    return new PostgresGround(ground, server, proxy);
  }

  private constructor(
    readonly ground: Ground,
    readonly server: PostgresServer,
    readonly proxy: PostgresProxy,
  ) {}

  /** Ends every connection of the sink; new ones come through. */
  cut(): void {
    this.proxy.cut();
  }

  /** Somebody's statements, at once. */
  async sql(...texts: readonly string[]): Promise<void> {
    await using other = await this.session();
    for (const text of texts) await other.client.query(text);
  }

  /** Somebody's session, which ends with its block. */
  async session(): Promise<AsyncDisposable & { readonly client: Client }> {
    const client = await this.ground.client();
    client.on("error", () => {});
    return { client, [Symbol.asyncDispose]: () => client.end() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ground[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** A statement of the sink at each of so many places, one after the other. */
async function atEachStatement({ ground, proxy }: PostgresGround, how: "cut" | "terminate", places: number): Promise<void> {
  for (let at = 1; at <= places; at++) {
    const before = proxy.hits;
    proxy.strike({ at, how });
    await ground.write(3);
    await until(
      () => proxy.hits > before,
      livenessMs(),
      () => `the ${at}. statement never came`,
    );
    await ground.caughtUp();
  }
}

/** Something of somebody's stands in the way of the rows; the sink stops, the thing goes, and starting the sink again is enough. */
function inTheWay(what: {
  readonly fault: string;
  readonly code: "target.constraint" | "value.null";
  readonly plant: string;
  readonly write: string;
  readonly remove: string;
}): FaultCase<PostgresGround> {
  return {
    fault: what.fault,
    does: "the sink stops and names what refuses; once that is gone, starting it again is enough",
    codes: [what.code],
    run: async (on) => {
      await on.sql(what.plant);
      on.ground.sql(what.write);
      await on.ground.stops("sink", what.code);
      await on.ground.write(10);
      await on.sql(what.remove);
      await on.ground.startBoth();
    },
  };
}

const cases: readonly FaultCase<PostgresGround>[] = [
  {
    fault: "The connection is cut at any statement",
    does: "nothing of the window stays or all of it does, and the sink goes on from what PostgreSQL says",
    codes: ["target.unavailable", "target.undecided"],
    run: (on) => atEachStatement(on, "cut", 14),
  },
  {
    fault: "An administrator ends a session at any statement",
    does: "the window is applied by the next session",
    codes: ["target.unavailable", "target.undecided"],
    run: (on) => atEachStatement(on, "terminate", 14),
  },
  {
    fault: "Sessions are cut and ended at any of the first 60 statements",
    does: "the window is applied by the next session",
    codes: ["target.unavailable", "target.undecided"],
    long: true,
    run: async (on) => {
      await atEachStatement(on, "cut", 60);
      await atEachStatement(on, "terminate", 60);
    },
  },
  {
    fault: "The answer to COMMIT is lost, three times in a row",
    does: "the applied position in PostgreSQL decides, never the error",
    codes: ["target.undecided", "target.unavailable"],
    run: async ({ ground, proxy }) => {
      const before = proxy.hits;
      proxy.loseCommits(3);
      await ground.writing();
      await until(
        () => proxy.hits - before === 3,
        livenessMs(),
        () => `no COMMIT came\n${ground.describe()}`,
      );
      await ground.application.stop();
      await ground.says("sink", "target.undecided");
    },
  },
  {
    fault: "PostgreSQL is stopped at once (immediate) and started again",
    does: "the sink waits and goes on",
    codes: ["target.unavailable", "target.undecided"],
    run: (on) => killServer(on, "immediate"),
  },
  {
    fault: "The postmaster is killed and started again",
    does: "the sink waits and goes on",
    codes: ["target.unavailable", "target.undecided"],
    run: (on) => killServer(on, "kill"),
  },
  {
    fault: "There are no connections left",
    does: "the sink waits and goes on when there are",
    codes: ["target.unavailable"],
    unwatched: true,
    run: async (on) => {
      const { ground } = on;
      const others: Client[] = [];
      try {
        // Whoever is quicker gets the places that become free.
        const taken = async (): Promise<boolean> => {
          on.cut();
          await fillConnections(on, others);
          return ground.lines().some((line) => line.includes("53300"));
        };
        await until(taken, livenessMs(), () => `the sink always found a place\n${ground.describe()}`);
        await ground.write(10);
      } finally {
        await Promise.all(others.map((client) => client.end()));
      }
    },
  },
  {
    fault: "The database is set to read only, and to end statements after half a second, by default",
    does: "sessions of ours mean the same whatever the defaults are, and write all the same",
    codes: ["target.unavailable", "target.undecided"],
    run: async (on) => {
      const name = new URL(on.ground.url).pathname.slice(1);
      await on.sql(`CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
        CREATE TRIGGER dawdle BEFORE INSERT ON tx_ledger FOR EACH STATEMENT EXECUTE FUNCTION dawdle()`);
      await on.sql(`ALTER DATABASE ${name} SET default_transaction_read_only = on; ALTER DATABASE ${name} SET statement_timeout = '500ms'`);
      on.cut();
      await on.ground.says("sink", "target.unavailable", "target.undecided");
      await on.ground.write(5);
      await on.ground.caughtUp();
      await on.sql(
        "SET default_transaction_read_only = off",
        `ALTER DATABASE ${name} RESET default_transaction_read_only`,
        `ALTER DATABASE ${name} RESET statement_timeout`,
        "DROP TRIGGER dawdle ON tx_ledger",
        "DROP FUNCTION dawdle()",
      );
    },
  },
  {
    fault: "Somebody holds a lock on a target table",
    does: "after the lock timeout the window is given back and tried again until the lock is gone",
    codes: ["target.unavailable"],
    unwatched: true,
    run: async (on) => {
      await using other = await on.session();
      await other.client.query("BEGIN; LOCK TABLE tx_ledger IN ACCESS EXCLUSIVE MODE");
      await on.ground.write(10);
      await on.ground.says("sink", "target.unavailable");
      await other.client.query("ROLLBACK");
    },
  },
  {
    fault: "An administrator cancels the sink's statement",
    does: "the window is tried again",
    codes: ["target.unavailable"],
    unwatched: true,
    run: async (on) => {
      await using other = await on.session();
      await other.client.query("BEGIN; LOCK TABLE tx_ledger IN ACCESS EXCLUSIVE MODE");
      await on.ground.write(10);
      await using admin = await on.session();
      const cancel = async (): Promise<boolean> => {
        const waiting = await admin.client.query(
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tailrace/%' AND wait_event_type = 'Lock'",
        );
        return (waiting.rowCount ?? 0) > 0;
      };
      await until(cancel, livenessMs(), () => "the sink never waited");
      await on.ground.says("sink", "target.unavailable");
      await other.client.query("ROLLBACK");
    },
  },
  {
    fault: "A deadlock with somebody else's transaction",
    does: "the window is rolled back and tried again",
    codes: ["target.unavailable"],
    run: async (on) => {
      await using other = await on.session();
      // Only the sink's own look finds the deadlock, so it is the one that gives way.
      await other.client.query("SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE tailrace.pipeline_table IN ROW EXCLUSIVE MODE");
      await other.client.query("SELECT FROM tailrace.pipeline_table FOR UPDATE");
      await on.ground.write(10);
      const waits = async (): Promise<boolean> => {
        await using admin = await on.session();
        const found = await admin.client.query(
          "SELECT FROM pg_stat_activity WHERE application_name LIKE 'tailrace/%' AND wait_event_type = 'Lock'",
        );
        return (found.rowCount ?? 0) > 0;
      };
      await until(waits, livenessMs(), () => "the sink never waited");
      const meets = other.client.query("SELECT FROM tailrace.pipeline FOR UPDATE");
      await on.ground.says("sink", "target.unavailable");
      await meets;
      await other.client.query("ROLLBACK");
    },
  },
  {
    fault: "A transaction of the sink fails to serialize",
    does: "the window is tried again",
    codes: ["target.unavailable"],
    run: async (on) => {
      await on.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON tx_ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse()`);
      await on.ground.write(10);
      await on.ground.says("sink", "target.unavailable");
      await on.sql("DROP TRIGGER refuse ON tx_ledger; DROP FUNCTION refuse()");
    },
  },
  {
    fault: "The target's disk is full",
    does: "the sink waits, says so, and goes on when there is room",
    codes: ["target.full"],
    root: true,
    run: async (on) => {
      const { uid, gid } = await on.server.owner();
      const place = mkdtempSync(join(tmpdir(), "tailrace-small-"));
      const mount = (options: string): void => void execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", place]);
      mount(`size=2m,uid=${uid},gid=${gid},mode=0700`);
      try {
        chownSync(place, uid, gid);
        await on.sql(`CREATE TABLESPACE small LOCATION '${place}'`);
        await on.sql("ALTER TABLE bulk SET TABLESPACE small");
        on.ground.sql(
          "INSERT INTO bulk (batch, payload) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT 900 + i / 500, hex(randomblob(400)) FROM n",
        );
        await on.ground.says("sink", "target.full");
        mount(`remount,size=64m`);
        await on.ground.caughtUp();
        await on.sql("ALTER TABLE bulk SET TABLESPACE pg_default");
        await on.sql("DROP TABLESPACE small");
      } finally {
        execFileSync("umount", [place]);
        rmSync(place, { recursive: true });
      }
    },
  },
  inTheWay({
    fault: "Somebody's row at the target holds a unique value that the source's row needs",
    code: "target.constraint",
    plant: "INSERT INTO person (id, email, version, touched) VALUES (-99, 'planted@example.org', 0, 0)",
    write: "INSERT INTO person (id, email, version) VALUES (901, 'planted@example.org', 0)",
    remove: "DELETE FROM person WHERE id = -99",
  }),
  inTheWay({
    fault: "Somebody's table at the target refers to a row that the source deletes",
    code: "target.constraint",
    plant: "CREATE TABLE theirs (id bigint REFERENCES bulk (id)); INSERT INTO theirs SELECT max(id) FROM bulk",
    write: "DELETE FROM bulk WHERE id = (SELECT max(id) FROM bulk)",
    remove: "DROP TABLE theirs",
  }),
  inTheWay({
    fault: "Somebody's CHECK at the target refuses a row of the source",
    code: "target.constraint",
    plant: "ALTER TABLE setting ADD CONSTRAINT planted CHECK (name <> 'refused by somebody')",
    write: "INSERT INTO setting (name) VALUES ('refused by somebody')",
    remove: "ALTER TABLE setting DROP CONSTRAINT planted",
  }),
  inTheWay({
    fault: "Somebody has made a column NOT NULL at the target",
    code: "value.null",
    plant:
      "UPDATE company SET name = '' WHERE name IS NULL; ALTER TABLE document ADD COLUMN planted text NOT NULL DEFAULT 'x'; ALTER TABLE document ALTER planted DROP DEFAULT",
    write: "INSERT INTO document (id, title) VALUES (x'abcdef01', 'planted')",
    remove: "ALTER TABLE document DROP COLUMN planted",
  }),
];

async function killServer({ ground, server }: PostgresGround, how: ServerEnd): Promise<void> {
  await ground.writing();
  server.end(how);
  await ground.says("sink", "target.unavailable", "target.undecided");
  await server.restart();
  await ground.application.stop();
}

async function fillConnections({ ground }: PostgresGround, others: Client[]): Promise<void> {
  for (;;) {
    const client = new Client({ connectionString: ground.url });
    client.on("error", () => {});
    try {
      await client.connect();
      others.push(client);
    } catch {
      return;
    }
  }
}

export const postgresFaults: FaultArea<PostgresGround> = {
  title: "PostgreSQL",
  test: "test/fault/matrix/postgres.test.ts",
  cases,
  make: () => PostgresGround.make(),
};

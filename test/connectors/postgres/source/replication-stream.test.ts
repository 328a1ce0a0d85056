/** What the server hears from us. Both tests lose data when the library's own acknowledgements are used instead. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConnectionUrl } from "../../../../connectors/postgres/connection-url.js";
import { type Lsn, parseLsn } from "../../../../connectors/postgres/source/lsn.js";
import type { Message } from "../../../../connectors/postgres/source/pgoutput.js";
import { ReplicationStream } from "../../../../connectors/postgres/source/replication-stream.js";
import { systemClock } from "../../../../core/clock.js";
import { PostgresServer } from "../../../support/postgres-server.js";
import { until } from "../../../support/oracles/until.js";

const never = new AbortController().signal;
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
  await server.query("CREATE TABLE t (id bigint PRIMARY KEY)");
  await server.query("CREATE PUBLICATION p FOR TABLE t");
});
afterAll(() => server[Symbol.asyncDispose]());

class Listener implements AsyncDisposable {
  readonly ids: string[] = [];
  readonly commits: { readonly commit: Lsn; readonly end: Lsn }[] = [];
  #stream: ReplicationStream | null = null;
  #isOver = false;

  private constructor(private readonly slot: string) {}

  static async on(slot: string): Promise<Listener> {
    const listener = new Listener(slot);
    await listener.#open();
    return listener;
  }

  /** Once the server has taken us for dead, as it does with whoever is stopped for longer than it waits. */
  async reopenIfOver(confirmed: Lsn): Promise<void> {
    if (!this.#isOver) return;
    await this.#stream?.[Symbol.asyncDispose]();
    await this.#open();
    this.stream.confirm(confirmed);
  }

  async #open(): Promise<void> {
    this.#isOver = false;
    this.#stream = await ReplicationStream.open(
      {
        settings: parseConnectionUrl(server.url),
        applicationName: "tailrace-test",
        slot: this.slot,
        publication: "p",
        clock: systemClock,
        onMessage: (message) => this.#hear(message),
        onCaughtUp: () => {},
        onEnd: () => {
          this.#isOver = true;
        },
        freeSlot: () => inactive(this.slot),
      },
      never,
    );
  }

  get stream(): ReplicationStream {
    return this.#stream ?? expect.fail("not open");
  }

  /** `confirmed`: to begin again with, where the server may have given us up. */
  heard(count: number, confirmed?: Lsn): Promise<void> {
    return until(
      async () => {
        if (confirmed !== undefined) await this.reopenIfOver(confirmed);
        return this.commits.length >= count;
      },
      30_000,
      () => `heard of ${this.commits.length} transactions, not of ${count}`,
    );
  }

  #hear(message: Message): void {
    if (message.kind === "insert") this.ids.push(String(message.after[0]));
    if (message.kind === "commit") this.commits.push(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream?.[Symbol.asyncDispose]();
  }
}

function inactive(slot: string): Promise<void> {
  return until(
    async () => (await server.query(`SELECT FROM pg_replication_slots WHERE slot_name = '${slot}' AND NOT active`)).length === 1,
    30_000,
    () => "the slot stays active",
  );
}

async function newSlot(name: string): Promise<void> {
  await server.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
}

async function confirmedBy(slot: string): Promise<Lsn> {
  const [row] = await server.query<{ at: string }>(
    `SELECT confirmed_flush_lsn AS at FROM pg_replication_slots WHERE slot_name = '${slot}'`,
  );
  return parseLsn(row?.at ?? expect.fail("no slot"));
}

describe("what the server hears from us", () => {
  it("is nothing that was not confirmed, however often it asks whether we live", async () => {
    await newSlot("asked");
    // Who connects from now on is asked after half of it. The other test has no use for a server that gives up so soon.
    await server.query("ALTER ROLE CURRENT_USER SET wal_sender_timeout = '3s'");
    {
      await using listener = await Listener.on("asked");
      const before = await confirmedBy("asked");
      listener.stream.confirm(before);
      await server.query("INSERT INTO t VALUES (1)");
      await listener.heard(1, before);
      const replies = new Set<string>();
      await until(
        async () => {
          await listener.reopenIfOver(before);
          const [row] = await server.query<{ at: string }>("SELECT reply_time::text AS at FROM pg_stat_replication");
          if (row !== undefined) replies.add(row.at);
          return replies.size > 3;
        },
        30_000,
        () => "the server has not asked",
      );
      expect(await confirmedBy("asked")).toBe(before);
    }
    await server.query("ALTER ROLE CURRENT_USER RESET wal_sender_timeout");
    await using again = await Listener.on("asked");
    await again.heard(1);
    expect(again.ids).toEqual(["1"]);
  });

  it("is exactly what was confirmed: a transaction that begins to commit right behind it comes again", async () => {
    let adjacent = 0;
    for (let round = 0; round < 12; round++) {
      const slot = `adjacent_${round}`;
      await newSlot(slot);
      await commitTogether(100 + round * 2);
      let confirmed: Lsn;
      {
        await using listener = await Listener.on(slot);
        await listener.heard(2);
        const [first, second] = listener.commits;
        if (first === undefined || second === undefined) expect.fail("two transactions were heard");
        if (first.end === second.commit) adjacent += 1;
        confirmed = first.end;
        listener.stream.confirm(confirmed);
        await until(
          async () => (await confirmedBy(slot)) === confirmed,
          30_000,
          () => "the confirmation does not arrive",
        );
      }
      await using again = await Listener.on(slot);
      await again.heard(1);
      expect(again.commits).toHaveLength(1);
      await again[Symbol.asyncDispose]();
      await inactive(slot);
      await server.query(`SELECT pg_drop_replication_slot('${slot}')`);
    }
    expect(adjacent).toBeGreaterThan(0);
  });
});

/** Two transactions whose rows are written before either commits, so that their commit records are neighbours. */
async function commitTogether(id: number): Promise<void> {
  const clients = [new pg.Client({ connectionString: server.url }), new pg.Client({ connectionString: server.url })];
  for (const [i, client] of clients.entries()) {
    await client.connect();
    await client.query("BEGIN");
    await client.query(`INSERT INTO t VALUES (${id + i})`);
  }
  await Promise.all(clients.map((client) => client.query("COMMIT")));
  for (const client of clients) await client.end();
}

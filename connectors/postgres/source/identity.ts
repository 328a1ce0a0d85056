/**
 * What PostgreSQL writes of a row's past to its log. A large value that an update leaves alone is not written again, and nobody could tell it from the
 * log; so a table that can hold such values logs the whole old row (REPLICA IDENTITY FULL), as does one whose primary key is not the plan's key. This
 * costs log for every update, for as long as the way back is open.
 */
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Connection } from "../connection.js";
import { qualified, quoteName } from "../quote.js";
import type { Identity } from "./way-state.js";

interface Storage {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly index: string | null;
  readonly toasted: boolean;
  readonly key: readonly string[] | null;
}

/** Relations (a partitioned table's partitions, too: each has an identity of its own) that must log more, with what they log now. */
export async function identitiesToChange(
  connection: Connection,
  tables: readonly TablePlan[],
): Promise<Readonly<Record<string, Identity>>> {
  const changes: Record<string, Identity> = {};
  for (const plan of tables) {
    for (const { schema, name, kind, index, toasted, key } of await storageOf(connection, plan)) {
      const keyed = kind === "d" && key !== null && isSameSet(key, plan.key);
      if (kind !== "f" && (toasted || !keyed)) changes[qualified({ schema, name })] = { kind, index };
    }
  }
  return changes;
}

export async function logWholeRows(connection: Connection, relations: readonly string[]): Promise<void> {
  for (const relation of relations) await connection.query(`ALTER TABLE ${relation} REPLICA IDENTITY FULL`);
}

/** A table that is gone by now has nothing to be put back. */
export async function putBack(connection: Connection, identities: Readonly<Record<string, Identity>>): Promise<readonly string[]> {
  const said: string[] = [];
  for (const [relation, identity] of Object.entries(identities)) {
    const [found] = await connection.rows<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [relation]);
    if (found?.there !== true) continue;
    await connection.query(`ALTER TABLE ${relation} REPLICA IDENTITY ${words(identity)}`);
    said.push(`REPLICA IDENTITY of ${relation}`);
  }
  return said;
}

function words({ kind, index }: Identity): string {
  if (kind === "i" && index !== null) return `USING INDEX ${quoteName(index)}`;
  return kind === "n" ? "NOTHING" : kind === "f" ? "FULL" : "DEFAULT";
}

function storageOf(connection: Connection, { target }: TablePlan): Promise<readonly Storage[]> {
  return connection.rows<Storage>(
    `SELECT n.nspname AS schema, c.relname AS name, c.relreplident::text AS kind, c.reltoastrelid <> 0 AS toasted,
       (SELECT x.relname FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident) AS index,
       (SELECT array_agg(a.attname::text) FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key
     FROM pg_class AS root JOIN pg_namespace AS rn ON rn.oid = root.relnamespace
     CROSS JOIN LATERAL (SELECT root.oid AS relid UNION SELECT t.relid FROM pg_partition_tree(root.oid) AS t WHERE t.isleaf) AS part
     JOIN pg_class AS c ON c.oid = part.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE rn.nspname = $1 AND root.relname = $2 AND c.relkind = 'r'`,
    [target.schema, target.name],
  );
}

const isSameSet = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((name) => b.includes(name));

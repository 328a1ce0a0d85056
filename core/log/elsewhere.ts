/**
 * What one group's reader leaves to the readers of others. Their topics are in the counts of every cut, and nobody waits for them here; what `.snapshot`,
 * which all share, holds of their tables is counted and passed over.
 */
import type { DecodedRecord } from "../contracts/log.js";
import { tableTopic } from "../topics.js";
import type { TableId, Topic } from "../vocabulary/ids.js";

export class Elsewhere {
  readonly topics: ReadonlySet<Topic>;
  readonly #tables: ReadonlySet<TableId>;

  constructor(prefix: string, tables: readonly TableId[]) {
    this.topics = new Set(tables.map((table) => tableTopic(prefix, table)));
    this.#tables = new Set(tables);
  }

  isOf({ body }: DecodedRecord): boolean {
    return body.kind !== "counted" && this.#tables.has(body.table.table);
  }
}

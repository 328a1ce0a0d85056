/**
 * A change log such as Debezium documents for SQLite, in our own words: one log table with AUTOINCREMENT, AFTER triggers, both images as JSON
 * with blobs as tagged hex, the statement's time. The connector itself cannot be had from a package repository; this stands in for its cost
 * at the application, not for its behaviour.
 */
const imageOf = (side: "NEW" | "OLD", columns: readonly string[]): string =>
  `json_object(${columns
    .map(
      (c) =>
        `'${c}', CASE typeof(${side}."${c}") WHEN 'blob' THEN json_object('__debezium_blob_hex', hex(${side}."${c}")) ELSE ${side}."${c}" END`,
    )
    .join(", ")})`;

export function debeziumLike(table: string, columns: readonly string[]): readonly string[] {
  const log = `CREATE TABLE _debezium_cdc_log (change_id INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL, operation TEXT NOT NULL,
    old_row_data TEXT, new_row_data TEXT, committed_at INTEGER NOT NULL)`;
  const trigger = (event: string, op: string, before: string, after: string): string =>
    `CREATE TRIGGER _debezium_cdc_${table}_${event} AFTER ${event} ON "${table}" BEGIN
      INSERT INTO _debezium_cdc_log (table_name, operation, old_row_data, new_row_data, committed_at)
      VALUES ('${table}', '${op}', ${before}, ${after}, CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)); END`;
  return [
    log,
    trigger("INSERT", "c", "NULL", imageOf("NEW", columns)),
    trigger("UPDATE", "u", imageOf("OLD", columns), imageOf("NEW", columns)),
    trigger("DELETE", "d", imageOf("OLD", columns), "NULL"),
  ];
}

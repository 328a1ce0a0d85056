/**
 * What is ours in a source, by name. Other names that begin with `_cdc_` may be another tool's or the application's: they are not captured, but they
 * are somebody's, so they are neither taken for ours nor dropped.
 */
const ownTables: ReadonlySet<string> = new Set([
  "_cdc_log",
  "_cdc_tables",
  "_cdc_state",
  "_cdc_applied",
  "_cdc_plan",
  "_cdc_changed",
  "_cdc_tracked",
]);

export const isOwnTable = (name: string): boolean => ownTables.has(name.toLowerCase());

/** `_cdc_<number of the table>_<kind>` (triggers.ts). */
export const isOwnTrigger = (name: string): boolean => /^_cdc_\d+_(?:[iud]|b[iur]|f[iud])$/.test(name);

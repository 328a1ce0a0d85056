/** Keys that are fixed by the design and not built yet. They are refused by name, so that nobody believes that they work. */
export interface ReservedKey {
  /** `*` stands for any one key. */
  readonly path: readonly string[];
  readonly comes: string;
}

export const reservedKeys: readonly ReservedKey[] = [
  { path: ["target", "adminUrl"], comes: "comes with least-privilege roles" },
  {
    path: ["target", "tls"],
    comes: "comes with TLS settings of its own; until then `?sslmode=` and `&sslrootcert=` in `target.url` say it",
  },
  { path: ["snapshot", "window"], comes: "comes with paced snapshots" },
  { path: ["snapshot", "rowsPerSecond"], comes: "comes with paced snapshots" },
  { path: ["http", "token"], comes: "comes with the console" },
  { path: ["tables", "*", "lookup"], comes: "comes with lookups" },
  { path: ["tables", "*", "where"], comes: "comes with filters" },
  { path: ["tables", "*", "newest"], comes: "comes with guarded writes" },
  { path: ["tables", "*", "write"], comes: "comes with write modes" },
];

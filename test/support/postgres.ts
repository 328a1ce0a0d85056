/** A fresh database per test, on an embedded PostgreSQL shared by the run, or on `TAILRACE_TEST_PG_URL`. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** Rows as objects; own plain connection, default session settings. */
  query<T = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<T[]>;
}

export async function freshDatabase(): Promise<TestDatabase> {
  throw new Error("being built");
}

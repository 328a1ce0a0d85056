/**
 * What the process that keeps a file from writers does for the fence. It has the file open with DuckDB, whose lock keeps every other process out, for a
 * lease: a lease that nobody renews ends by itself, and so does the process when whoever started it is gone. Moving the file happens here as well, since
 * only whoever holds the lock knows that nobody has the file open.
 */
export interface Hold {
  /** Legal once, before anything else. */
  open(request: { readonly memoryMb: number }): Promise<void>;
  /** Rejects with `source.locked` while somebody has the file open. On return nobody has, nor can: until the lease is over. All of it is in the main file. */
  take(request: { readonly path: string; readonly leaseMs: number }): Promise<void>;
  /** Answers false when the lease was over: somebody may have had the file since. */
  renew(request: { readonly leaseMs: number }): Promise<boolean>;
  /** Puts the file aside and `tombstone` in its place, if the lease is not over. Durable on return; atomic. */
  putAside(request: { readonly real: string; readonly tombstone: string }): Promise<boolean>;
  /** Puts the file that lies aside, and is held, back in its place. Durable on return; atomic. */
  bringBack(request: { readonly real: string }): Promise<boolean>;
  /** Idempotent. */
  letGo(): Promise<void>;
}

/** Closes what may already be broken: the error that made us close it is the one that counts. */
export async function disposeQuietly(resource: AsyncDisposable | null): Promise<void> {
  try {
    await resource?.[Symbol.asyncDispose]();
  } catch {
    // Nothing that is closed here holds anything that is not durable elsewhere.
  }
}

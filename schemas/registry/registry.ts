/** Where schema texts live by number. Both kinds answer from memory what they have answered before, also while the store is down. */
export interface SchemaRegistry {
  /** Number of this text under this subject; registers what is not there yet. Durable on return. */
  idFor(subject: string, schemaText: string, signal: AbortSignal): Promise<number>;
  /** Rejects with `registry.unknown-schema` when the registry has no such number. */
  schemaById(id: number, signal: AbortSignal): Promise<string>;
  /** Finds out whether the store has lost what it had acknowledged; `idFor` then registers it again, under the same number. */
  recheck(signal: AbortSignal): Promise<void>;
}

/** Where schema texts live by number. Both kinds answer from memory what they have answered before, also while the store is down. */
export interface SchemaRegistry {
  /**
   * Number of this text under this subject; registers what is not there yet. Durable on return. May be called again at any time for the
   * same pair: it then makes sure that the store still holds it, as far as the store can lose it.
   */
  idFor(subject: string, schemaText: string, signal: AbortSignal): Promise<number>;
  /** Rejects with `registry.unknown-schema` when the registry has no such number. */
  schemaById(id: number, signal: AbortSignal): Promise<string>;
}

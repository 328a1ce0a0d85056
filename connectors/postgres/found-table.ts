/** A target table as the server describes it, before anybody decides what that means. */
export interface FoundTable {
  readonly oid: number;
  readonly kind: string;
  readonly persistence: string;
  readonly is_partition: boolean;
  readonly inherits: boolean;
  readonly row_security: boolean;
  readonly columns: readonly FoundColumn[];
  readonly key: readonly string[] | null;
  readonly key_deferrable: boolean;
  readonly in_the_way: readonly string[];
}
export interface FoundColumn {
  readonly name: string;
  readonly type: string;
  readonly not_null: boolean;
  readonly has_default: boolean;
  readonly generated: boolean;
  readonly identity_always: boolean;
}

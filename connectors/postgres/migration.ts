/** What a numbered migration of schema `tailrace` is made of. Every table and column says what it holds. */
import { quoteText } from "./quote.js";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly statements: readonly string[];
}

export const comment = (on: string, text: string): string => `COMMENT ON ${on} IS ${quoteText(text)}`;

export function commented(table: string, says: string, columns: Readonly<Record<string, string>>): readonly string[] {
  const ofColumns = Object.entries(columns).map(([column, text]) => comment(`COLUMN tailrace.${table}.${column}`, text));
  return [comment(`TABLE tailrace.${table}`, says), ...ofColumns];
}

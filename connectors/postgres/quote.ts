/** The only place where a name becomes SQL text. Names from a source are hostile: quotes, keywords, blanks and emojis are all legal. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const qualified = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `${quoteName(schema)}.${quoteName(name)}`;

export const quoteNames = (names: readonly string[]): string => names.map(quoteName).join(", ");

/** A text literal, for DDL and for SQL that a person may read and run. Relies on standard_conforming_strings, which we set. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The one function that puts a name into SQL text. Names from a source are hostile: quotes, keywords, blanks and emojis are all legal. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text literal, for the few places where SQLite takes no parameter (trigger bodies). */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Verbs whose names are fixed and whose capability is not built. */
export const laterVerbs: readonly (readonly [name: string, comes: string])[] = [
  ["dlq", "quarantine"],
  ["roles", "least-privilege roles"],
  ["schema", "schema evolution"],
  ["bundle", "the support bundle"],
  ["console", "the console"],
];

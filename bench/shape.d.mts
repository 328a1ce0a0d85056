export interface Shape {
  readonly path: string;
  readonly lines: number;
  /** The file's lines. */
  readonly text: readonly string[];
  /** `specifier` null: computed at run time. `onCall`: loaded when that line is reached, not with the file. */
  readonly imports: readonly { readonly specifier: string | null; readonly line: number; readonly onCall: boolean }[];
  readonly functions: readonly { readonly name: string; readonly line: number; readonly lines: number }[];
  readonly findings: readonly { readonly kind: "any" | "non-null !" | "default export" | "enum"; readonly line: number }[];
  readonly calls: readonly { readonly callee: string; readonly line: number; readonly args: readonly { readonly type: string }[] }[];
}
export const productionFolders: readonly string[];
export function sourceFiles(root: string, folders: readonly string[]): string[];
export function shapeOf(root: string, path: string): Shape;
export function shapeOfText(path: string, text: string): Shape;

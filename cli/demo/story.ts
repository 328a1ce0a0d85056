/** What a demo is about: a made-up database of one kind, an application that writes to it, and how an onlooker tells whole transactions from half ones. */
import type { Secret } from "../../core/secret.js";
import type { TableComparison } from "./compare.js";

export interface Story {
  readonly title: string;
  readonly file: string;
  /** Of `tailrace.yaml`, besides pipeline and address. */
  readonly settings: string;
  /** Transactions a second that the application tries to make. */
  readonly perSecond: number;
  /** What the onlooker adds up, and what it must come to. */
  readonly sum: { readonly name: string; readonly sql: string; readonly always: string };
  /** The table of which each transaction writes one row, its number being the row's `id`. */
  readonly numbered: string;
  /** A change that nobody at the source has made. */
  readonly tampering: { readonly said: string; readonly sql: string };
  /** Whether its application can be switched over in the demo. */
  readonly switches: boolean;
  create(path: string, rows: number): Promise<string>;
  /** Of the application, a process of its own: path, number of rows and transactions a second are its words. */
  readonly program: string;
  readonly does: string;
  compare(path: string, url: Secret): Promise<readonly TableComparison[]>;
}

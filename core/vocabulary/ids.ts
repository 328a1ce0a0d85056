/**
 * Names and numbers that must not be mixed up. Each is made by exactly one constructor here (or by the parser that reads it
 * from outside) and is a plain string or number otherwise.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

export type PipelineId = Brand<string, "PipelineId">;
/** Number of a group inside its pipeline, from 1. A number, because capture triggers compare with it. */
export type GroupId = Brand<number, "GroupId">;
/** Name of a table at the source, exactly as the source spells it. */
export type TableId = Brand<string, "TableId">;
/** Random id in the first record of `.cuts`. Two logs never share one. */
export type LogId = Brand<string, "LogId">;
/** One process of ours that writes a log; random, made at start. */
export type WriterId = Brand<string, "WriterId">;
export type MarkerId = Brand<string, "MarkerId">;
/** One run of one re-read (`snapshot TABLE`, restore, repair). */
export type RereadId = Brand<string, "RereadId">;
/** Number of a writer's session on a topic prefix, counted in the log, from 1. Never compared with an OwnerEpoch. */
export type WriterEpoch = Brand<number, "WriterEpoch">;
/** Number of an owner's session on a target, counted in the target, from 1. */
export type OwnerEpoch = Brand<number, "OwnerEpoch">;
/** Offset of a record in its partition. A JS number is exact up to 2^53, which no partition reaches. */
export type Offset = Brand<number, "Offset">;
export type SchemaVersion = Brand<number, "SchemaVersion">;
export type Topic = Brand<string, "Topic">;
/** Opaque to all but the connector that wrote it; at most 64 KiB. */
export type ResumeToken = Brand<Uint8Array, "ResumeToken">;
/** What identifies the source's past at a position (SQLite: seq, time and hash of the log row there). Compared by bytes. */
export type Anchor = Brand<Uint8Array, "Anchor">;

export const pipelineId = (text: string): PipelineId => text as PipelineId;
export const groupId = (n: number): GroupId => n as GroupId;
export const tableId = (text: string): TableId => text as TableId;
export const logId = (text: string): LogId => text as LogId;
export const writerId = (text: string): WriterId => text as WriterId;
export const markerId = (text: string): MarkerId => text as MarkerId;
export const rereadId = (text: string): RereadId => text as RereadId;
export const writerEpoch = (n: number): WriterEpoch => n as WriterEpoch;
export const ownerEpoch = (n: number): OwnerEpoch => n as OwnerEpoch;
export const offset = (n: number): Offset => n as Offset;
export const schemaVersion = (n: number): SchemaVersion => n as SchemaVersion;
export const topic = (text: string): Topic => text as Topic;
export const resumeToken = (bytes: Uint8Array): ResumeToken => bytes as ResumeToken;
export const anchor = (bytes: Uint8Array): Anchor => bytes as Anchor;

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** `main`: tables that no declared group has. */
export const theGroup = groupId(1);

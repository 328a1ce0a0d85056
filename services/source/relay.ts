/**
 * The source's one loop: take a batch of whole transactions, append it, confirm it. A crash between any two steps leaves either nothing, or rows
 * without a cut that the next start voids, or a cut whose source has not heard of it and offers the batch again, above which the writer starts.
 */
import type { Phase } from "../../core/contracts/change.js";
import type { ChangeEncoder, Cut, EncodedPart, LogSession } from "../../core/contracts/log.js";
import type { Batch, BatchEnd, Source } from "../../core/contracts/source.js";
import { passing } from "../../core/crash-points.js";
import type { GroupId } from "../../core/vocabulary/ids.js";

export interface RelayOptions {
  readonly source: Source;
  readonly session: LogSession;
  readonly encoder: ChangeEncoder;
  /** After each batch is durable and confirmed. */
  readonly onCut: (cut: Cut, relayed: Relayed) => void;
}
export interface Relayed {
  readonly records: number;
  readonly bytes: number;
  readonly phases: ReadonlyMap<GroupId, Phase>;
}

export async function relay({ source, session, encoder, onCut }: RelayOptions, signal: AbortSignal): Promise<void> {
  // A session that begins after the snapshot takes its first cut for the end cut: that concerns the crash points alone.
  let streaming = false;
  for await (const batch of source.batches(session.beginning, signal)) {
    passing("source.read");
    const sent = { records: 0, bytes: 0, chunks: 0 };
    const parts = encoded(batch, session, encoder, sent, signal);
    const end = (): BatchEnd => {
      const last = batch.end();
      if (!streaming && isStreaming(last.phases)) passing("source.handoff-before");
      return last;
    };
    const cut = await session.append({ position: batch.position, parts, end }, signal);
    if (!streaming && isStreaming(cut.phases)) passing("source.handoff-after");
    streaming = isStreaming(cut.phases);
    if (sent.chunks > 0) passing("source.chunk-produced");
    passing("source.position-before");
    await source.acknowledged(cut.position, cut.epoch);
    passing("source.position-after");
    onCut(cut, { ...sent, phases: cut.phases });
  }
}

const isStreaming = (phases: Relayed["phases"]): boolean => [...phases.values()].every((phase) => phase === "streaming");

async function* encoded(
  batch: Batch,
  session: LogSession,
  encoder: ChangeEncoder,
  sent: { records: number; bytes: number; chunks: number },
  signal: AbortSignal,
): AsyncIterable<EncodedPart> {
  for await (const part of batch.parts(signal)) {
    if (part.kind === "chunk") {
      sent.chunks += 1;
      passing("source.chunk-read");
    }
    for (const out of await encoder.encode(part, { cut: batch.position, epoch: session.epoch }, signal)) {
      if (out.kind === "records") {
        sent.records += out.records.length;
        for (const record of out.records) sent.bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      }
      yield out;
    }
  }
}

/**
 * The source's one loop: take a batch of whole transactions, append it, confirm it. A crash between any two steps leaves either nothing, or rows
 * without a cut that the next start voids, or a cut whose source has not heard of it and offers the batch again, above which the writer starts.
 */
import type { Phase } from "../../core/contracts/change.js";
import type { ChangeEncoder, Cut, EncodedPart, LogSession } from "../../core/contracts/log.js";
import type { Batch, Source } from "../../core/contracts/source.js";
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
  for await (const batch of source.batches(session.beginning, signal)) {
    const sent = { records: 0, bytes: 0 };
    const cut = await session.append(
      { position: batch.position, parts: encoded(batch, session, encoder, sent, signal), end: () => batch.end() },
      signal,
    );
    await source.acknowledged(cut.position, cut.epoch);
    onCut(cut, { ...sent, phases: cut.phases });
  }
}

async function* encoded(
  batch: Batch,
  session: LogSession,
  encoder: ChangeEncoder,
  sent: { records: number; bytes: number },
  signal: AbortSignal,
): AsyncIterable<EncodedPart> {
  for await (const part of batch.parts(signal)) {
    for (const out of await encoder.encode(part, { cut: batch.position, epoch: session.epoch }, signal)) {
      if (out.kind === "records") {
        sent.records += out.records.length;
        for (const record of out.records) sent.bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      }
      yield out;
    }
  }
}

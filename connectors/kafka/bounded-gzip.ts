/**
 * What kafkajs uses to open compressed batches. Ours are never compressed, so whatever is comes from a stranger, who may send half a megabyte that
 * becomes half a gigabyte: no more than a bounded number of bytes ever comes out, and what cannot be opened at all is named.
 */
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { TailraceError } from "../../core/errors.js";

export interface BatchCodec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

/** Several times what our topics take as one record. */
export const decompressedBytesMax = 64 << 20;

const [compress, decompress] = [promisify(gzip), promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)];

export const boundedGzip: BatchCodec = {
  compress: (encoder) => compress(encoder.buffer),
  decompress: async (bytes) => {
    try {
      return await decompress(bytes, { maxOutputLength: decompressedBytesMax });
    } catch (cause) {
      const tooLarge = (cause as { readonly code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
      const what = tooLarge ? `a batch holds more than ${decompressedBytesMax} bytes once it is opened` : "a batch cannot be opened";
      throw new TailraceError("log.garbage", { what: `${what}; ours are never compressed`, where: { compression: "gzip" }, cause });
    }
  },
};

export const noCodec = (compression: string) => (): never => {
  throw new TailraceError("log.garbage", { what: `a batch is compressed with ${compression}; ours never are`, where: { compression } });
};

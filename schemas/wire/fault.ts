/**
 * Says only what is wrong. It never leaves schemas/: the encoder adds table and column (`schema.value`), the decoder topic, partition and
 * offset (`log.garbage`).
 */
export class WireFault extends Error {
  override readonly name = "WireFault";
}

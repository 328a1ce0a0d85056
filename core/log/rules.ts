/**
 * The rules of the log protocol that the model test proves to be needed by switching them off one at a time. Production always runs with all
 * of them: nothing but test/property passes anything else.
 */
export interface ProtocolRules {
  /** A record behind a counting claim of a higher epoch does not exist. */
  readonly claimsFence: boolean;
  /** A claim counts only above every claim before it (false: at or above). */
  readonly claimsRise: boolean;
  /** A start must land right behind its claim. */
  readonly startBehindClaim: boolean;
  /** A change belongs to a cut by epoch (false: any epoch). */
  readonly memberByEpoch: boolean;
  /** A cut is whole only when its counts add up (false: when every partition is read to its ends). */
  readonly countCheck: boolean;
  /** Any later start below an unfinished cut voids it. */
  readonly startVoids: boolean;
  /** A start is obeyed only once its position is reached. */
  readonly startReached: boolean;
  /** The writer goes on at the newest cut whose rows are all there (false: the newest cut). */
  readonly pickWhole: boolean;
  /** Changes at or below the applied position are skipped. */
  readonly skipApplied: boolean;
  /** Acknowledged base offsets must be the expected ones. */
  readonly baseOffsets: boolean;
  /** Epoch is above table tails, `_cdc_state` and `.applied`, not only above `.cuts`. */
  readonly epochAboveAll: boolean;
  /** An applied cut that is not at its offset makes the reader read `.cuts` from the beginning. */
  readonly rescan: boolean;
}

export const allRules: ProtocolRules = {
  claimsFence: true,
  claimsRise: true,
  startBehindClaim: true,
  memberByEpoch: true,
  countCheck: true,
  startVoids: true,
  startReached: true,
  pickWhole: true,
  skipApplied: true,
  baseOffsets: true,
  epochAboveAll: true,
  rescan: true,
};

/** What an operator reads about the capture log. */
import { oldAfterMs } from "../../core/capture/retention.js";
import type { CaptureLogStatus } from "../../core/status.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import { formatBytes, formatMs } from "../output/format.js";

export const captureLogLine = ({ bytes, ms, retain, maxBytes }: CaptureLogStatus): string =>
  `about ${formatBytes(bytes)} (at most ${formatBytes(maxBytes)}, retain: ${retain})   oldest ${formatMs(ms)}`;

/** null: all is well. */
export function alarmSentence({ alarm, bytes, ms, freeBytes, maxBytes }: CaptureLogStatus): string | null {
  const away = "bring the target back, or give the disk more room";
  switch (alarm) {
    case null:
      return null;
    case "size":
      return `the capture log in the source holds about ${formatBytes(bytes)}, more than source.log.maxBytes (${formatBytes(maxBytes)}): ${away}`;
    case "age":
      return `the capture log in the source holds rows that are ${formatMs(ms)} old (more than ${formatMs(oldAfterMs)}): ${away}`;
    case "disk":
      return `the capture log in the source holds about ${formatBytes(bytes)}, and the disk has ${formatBytes(freeBytes)} left: ${away}; a full disk stops the application`;
    default:
      return unreachable(alarm);
  }
}

/** The same of PostgreSQL's log, which is kept for the way back. */
export function slotAlarmSentence({ alarm, bytes, ms, freeBytes, maxBytes }: CaptureLogStatus): string | null {
  const away = "start `tailrace run reverse`, or give the way back up with `tailrace cutover finish`";
  switch (alarm) {
    case null:
      return null;
    case "size":
      return `PostgreSQL keeps ${formatBytes(bytes)} of its log for the way back, more than source.log.maxBytes (${formatBytes(maxBytes)}): ${away}`;
    case "age":
      return `PostgreSQL keeps log for the way back that is ${formatMs(ms)} old (more than ${formatMs(oldAfterMs)}): ${away}`;
    case "disk":
      return `PostgreSQL takes the log of the way back away after another ${formatBytes(freeBytes)} (max_slot_wal_keep_size): ${away}`;
    default:
      return unreachable(alarm);
  }
}

export const forgottenSentence =
  "the source has forgotten rows that the target lacks (source.log.retain: acknowledged): if the log loses them too, every table is read again";

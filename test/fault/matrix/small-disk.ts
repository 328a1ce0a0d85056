/** A disk of a few megabytes. Needs root. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class SmallDisk implements Disposable {
  /** At a folder of its own, or over one that is there. */
  constructor(
    megabytes: number,
    readonly path = mkdtempSync(join(tmpdir(), "tailrace-small-")),
  ) {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", this.path]);
  }

  /** Nothing is left. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.path);
    writeFileSync(join(this.path, "filler"), Buffer.alloc(bavail * bsize));
  }

  makeRoom(): void {
    rmSync(join(this.path, "filler"), { force: true });
  }

  grow(megabytes: number): void {
    execFileSync("mount", ["-o", `remount,size=${megabytes}m`, this.path]);
  }

  [Symbol.dispose](): void {
    // A descriptor may be closing still; lazily it goes with the last one.
    execFileSync("umount", ["-l", this.path]);
    rmSync(this.path, { recursive: true });
  }
}

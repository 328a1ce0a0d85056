/** Where the file may be opened as a target. */
import { TailraceError } from "../../../core/errors.js";
import { placeOfFile } from "../fence/tombstone.js";

/** While it lies in its place it is the application's, which may want to open it at any moment. */
export function openHome(path: string): string {
  const place = placeOfFile(path);
  if (place.kind === "aside") return place.path;
  throw new TailraceError("source.way-back-closed", { what: "The application has the file for itself", where: { path } });
}

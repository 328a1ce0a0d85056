import { exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { renderTable } from "../output/table.js";
import { effectiveSettings } from "../settings/effective.js";
import { publishedJsonSchema } from "../settings/json-schema.js";

export const verb: Verb = async (invocation) => {
  const word = invocation.words[0] ?? "";
  switch (word) {
    case "show":
      return await show(invocation);
    case "validate":
      return await validate(invocation);
    case "schema":
      // The schema is the answer in either format: it goes into a file as it is.
      invocation.out.streams.stdout.write(publishedJsonSchema());
      return exits.done;
    default:
      throw usage(`config knows show, validate and schema, not '${word}'`);
  }
};

async function show({ settings, out }: Invocation): Promise<typeof exits.done> {
  const loaded = await settings();
  const rows = effectiveSettings(loaded);
  out.answer({
    kind: "Settings",
    data: { file: loaded.file, settings: rows },
    next: ["tailrace doctor"],
    text: (paint) =>
      renderTable(
        [{ title: "SETTING" }, { title: "VALUE" }, { title: "FROM" }],
        rows.map(({ setting, value, from }) => [setting, typeof value === "string" ? value : JSON.stringify(value), from]),
        paint,
      ),
  });
  return exits.done;
}

async function validate({ settings, out }: Invocation): Promise<typeof exits.done> {
  const loaded = await settings();
  out.answer({
    kind: "SettingsCheck",
    data: { file: loaded.file, ok: true, pipeline: loaded.settings.pipeline },
    next: ["tailrace doctor"],
    text: (paint) => `${paint.green("ok")} ${loaded.file}: pipeline ${loaded.settings.pipeline}`,
  });
  return exits.done;
}

/**
 * Loaded into a process of ours before anything else (`node --import`): at SIGUSR2 it does what no program should. MISBEHAVE says what.
 */
const deeds = {
  /** The event loop never turns again. */
  block: () => {
    for (;;);
  },
  "unhandled-rejection": () => void Promise.reject(new Error("nobody waits for this")),
  "throws-text": () =>
    setTimeout(() => {
      throw "no error, only text";
    }),
  "rejects-nothing": () => void Promise.reject(undefined),
};

process.on("SIGUSR2", () => deeds[process.env.MISBEHAVE]());

/** What this process has worked so far, however busy the machine: a bound on work, where one on time would be one on what else runs. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

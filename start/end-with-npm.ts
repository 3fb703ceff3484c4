/** How often we look; `kill` is followed within a second. */
const lookEveryMs = 500;

/**
 * npm runs a command in a shell of its own, and a signal to npm may end both and never reach us: we look whether our
 * parent is still the one that started us, and end as by SIGTERM when it is not. Where npm is not involved, a parent
 * may end as it likes (`nohup`, a service manager).
 */
export function endWithNpm(environment: Readonly<Record<string, string | undefined>> = process.env): void {
  if (environment.npm_lifecycle_event === undefined) return;
  const starter = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === starter) return;
    clearInterval(looking);
    process.kill(process.pid, "SIGTERM");
  }, lookEveryMs);
  looking.unref();
}

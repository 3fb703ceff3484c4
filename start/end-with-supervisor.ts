/**
 * Loaded before a child's own entry point (`node --import`). When the channel to the supervisor breaks, which
 * the kernel sees to even after a kill -9, the child is told to close as if by its supervisor.
 */

/** The supervisor's own patience (see `stopTimeoutMs` in supervise.ts), here without a supervisor to apply it. */
const closeTimeoutMs = 3_000;

process.once("disconnect", () => {
  setTimeout(() => process.exit(1), closeTimeoutMs).unref();
  process.kill(process.pid, "SIGTERM");
});
// Listening must not keep a child alive that has nothing left to do.
process.channel?.unref();

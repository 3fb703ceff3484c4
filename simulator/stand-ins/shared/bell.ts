/** Wakes those waiting for something to appear in a store: the long polls of the control entrances. */
export type Bell = {
  /** Something changed: every waiter looks again. */
  ring(): void;
  /** What `look` finds now or after a later change; `undefined` after `timeoutMs` or once `signal` aborts. */
  waitFor<T>(look: () => T | undefined, timeoutMs: number, signal: AbortSignal): Promise<T | undefined>;
  /** Ends every wait without a result. */
  close(): void;
};

export function createBell(): Bell {
  const waiters = new Set<() => void>();
  let isClosed = false;
  return {
    ring() {
      for (const lookAgain of [...waiters]) lookAgain();
    },
    waitFor(look, timeoutMs, signal) {
      const found = look();
      if (found !== undefined || isClosed || signal.aborted) return Promise.resolve(found);
      return new Promise((resolve) => {
        const leave = (result: ReturnType<typeof look>) => {
          waiters.delete(lookAgain);
          clearTimeout(timer);
          signal.removeEventListener("abort", giveUp);
          resolve(result);
        };
        const giveUp = () => leave(undefined);
        const lookAgain = () => {
          const result = look();
          if (result !== undefined || isClosed) leave(result);
        };
        const timer = setTimeout(giveUp, timeoutMs).unref();
        signal.addEventListener("abort", giveUp);
        waiters.add(lookAgain);
      });
    },
    close() {
      isClosed = true;
      for (const lookAgain of [...waiters]) lookAgain();
    },
  };
}

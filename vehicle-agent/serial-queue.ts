/** Runs tasks strictly one after another. */
export type SerialQueue = {
  /** Adds a task unless the queue is full. A task must not reject. @returns whether it was added */
  offer(task: () => Promise<void>): boolean;
  /** Adds a task even if the queue is full, and resolves when it has ended. */
  run(task: () => Promise<void>): Promise<void>;
  /** Drops tasks that have not begun and resolves when the running one has ended; takes nothing from then on. */
  close(): Promise<void>;
};

export function createSerialQueue(limit: number): SerialQueue {
  /** Including the running one. */
  let pending = 0;
  let isClosed = false;
  let last: Promise<void> = Promise.resolve();

  async function work(task: () => Promise<void>): Promise<void> {
    try {
      if (!isClosed) await task();
    } finally {
      pending -= 1;
    }
  }

  /** A task starts at once if none is before it. */
  function run(task: () => Promise<void>): Promise<void> {
    pending += 1;
    last = pending === 1 ? work(task) : last.then(() => work(task));
    return last;
  }

  return {
    run,
    offer(task) {
      if (isClosed || pending > limit) return false;
      void run(task);
      return true;
    },
    close() {
      isClosed = true;
      return last;
    },
  };
}

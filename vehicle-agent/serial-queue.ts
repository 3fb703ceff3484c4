/** Runs tasks strictly one after another. */
export type SerialQueue = {
  /** Adds a task unless the queue is full; whether it was added. A task must not reject. */
  offer(task: () => Promise<void>): boolean;
  /** Adds a task whatever the length, and resolves when it has ended. */
  run(task: () => Promise<void>): Promise<void>;
  /** Drops what has not begun and resolves when what has is over; takes nothing from then on. */
  close(): Promise<void>;
};

export function createSerialQueue(limit: number): SerialQueue {
  /** The one that runs included. */
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

  /** A task that finds nobody before it begins at once. */
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

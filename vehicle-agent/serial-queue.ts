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
  let waiting = 0;
  let isClosed = false;
  let last: Promise<void> = Promise.resolve();

  function run(task: () => Promise<void>): Promise<void> {
    waiting += 1;
    last = last.then(async () => {
      waiting -= 1;
      if (!isClosed) await task();
    });
    return last;
  }

  return {
    run,
    offer(task) {
      if (isClosed || waiting >= limit) return false;
      void run(task);
      return true;
    },
    close() {
      isClosed = true;
      return last;
    },
  };
}

/**
 * Runs what is about one thing one after another, in the order of the calls; what is about others, or about nothing
 * (`null`), runs beside it. A failure is the caller's, and holds up nothing.
 */
export function createTurns(): <T>(about: string | null, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (about, work) => {
    if (about === null) return work();
    const turn = (last.get(about) ?? Promise.resolve()).then(work, work);
    last.set(about, turn);
    try {
      return await turn;
    } finally {
      if (last.get(about) === turn) last.delete(about);
    }
  };
}

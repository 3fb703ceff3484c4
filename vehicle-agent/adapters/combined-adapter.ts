import type { CarConditions } from "../change/conditions.ts";
import type { CarAdapter } from "./adapter.ts";

/**
 * Several adapters as one: each receives every configuration, in order; the first refusal decides, and readings of
 * all of them count.
 */
export function combineAdapters(adapters: readonly CarAdapter[]): CarAdapter {
  const withSignals = adapters.flatMap((adapter) => (adapter.signals === undefined ? [] : [adapter]));
  return {
    async check(configuration) {
      for (const adapter of adapters) {
        const verdict = (await adapter.check?.(configuration)) ?? { kind: "ok" };
        if (verdict.kind === "rejected") return verdict;
      }
      return { kind: "ok" };
    },
    async apply(configuration) {
      for (const adapter of adapters) await adapter.apply(configuration);
    },
    async probe() {
      for (const adapter of adapters) {
        const health = await adapter.probe();
        if (!health.healthy) return health;
      }
      return { healthy: true };
    },
    async conditions() {
      const known = await Promise.all(adapters.flatMap((adapter) => adapter.conditions?.() ?? []));
      return known.reduce<CarConditions>(
        (sum, one) => ({
          moving: sum.moving || one.moving,
          stateOfChargePercent: sum.stateOfChargePercent ?? one.stateOfChargePercent,
          lockedBy: sum.lockedBy ?? one.lockedBy,
        }),
        { moving: false, stateOfChargePercent: null, lockedBy: null },
      );
    },
    watch(onChange) {
      const ends = adapters.flatMap((adapter) => adapter.watch?.(onChange) ?? []);
      return () => {
        for (const end of ends) end();
      };
    },
    async show(messages) {
      for (const adapter of adapters) await adapter.show?.(messages);
    },
    ...(withSignals.length === 0
      ? {}
      : {
          async signals() {
            const readings = await Promise.all(withSignals.map((adapter) => adapter.signals?.()));
            return Object.assign({}, ...readings);
          },
        }),
  };
}

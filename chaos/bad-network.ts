import type { LossyLink } from "@caas/simulator/link/lossy-link.ts";
import type { CarLink } from "@caas/vehicle-agent/link/transport.ts";

/** The cars' way to the broker: bad packet by packet, gone altogether for some, and good again when told so. */
export type BadNetwork = {
  /** Put under every car. */
  link: LossyLink;
  /** Out of reach without a word, as in a garage: the broker publishes the car's will. */
  cutOff(car: string): void;
  reach(car: string): void;
  /** Every connection ends, and the next ones lose nothing. */
  heal(): void;
};

export function createBadNetwork(lossy: LossyLink, outOfReach: Iterable<string>): BadNetwork {
  const unreachable = new Set(outOfReach);
  const links = new Map<string, CarLink>();
  let isHealed = false;
  return {
    link(car, transport) {
      const bad = lossy(car, transport);
      return {
        async connect(wanted) {
          if (unreachable.has(car)) throw new Error("out of reach");
          const link = await (isHealed ? transport : bad).connect(wanted);
          if (unreachable.has(car)) {
            link.drop();
            throw new Error("out of reach");
          }
          links.set(car, link);
          void link.closed.then(() => {
            if (links.get(car) === link) links.delete(car);
          });
          return link;
        },
      };
    },
    cutOff(car) {
      unreachable.add(car);
      links.get(car)?.drop();
    },
    reach: (car) => void unreachable.delete(car),
    heal() {
      isHealed = true;
      for (const link of [...links.values()]) link.drop();
    },
  };
}

import type { CarTransport, WireMessage } from "@caas/vehicle-agent/link/transport.ts";
import type { FaultCounts, FaultSchedule } from "./fault-schedule.ts";
import { type ChannelPacket, createFaultyChannel, type Postpone, postponeByTimer } from "./faulty-channel.ts";
import { createForger } from "./forger.ts";

export type LossyLinkOptions = {
  schedule: FaultSchedule;
  /** Added to; usually one for the whole fleet. */
  counts: FaultCounts;
  /** Real time; default 200: longer than a round trip, shorter than a test's patience. */
  maxDelayMs?: number;
  postpone?: Postpone;
};

/** Gives every car the same kind of bad link. */
export type LossyLink = (car: string, transport: CarTransport) => CarTransport;

/**
 * A link that does to decoded packets, in both directions, what the schedule says. Connecting, subscribing, the
 * will and acknowledgements are left to the transport: the schedule never touches them.
 */
export function createLossyLink(options: LossyLinkOptions): LossyLink {
  const { schedule, counts, maxDelayMs = 200, postpone = postponeByTimer } = options;
  const forger = createForger(schedule.seed);
  return (car, transport) => {
    const shared = { car, schedule, forger, counts, maxDelayMs, postpone };
    const toCar = createFaultyChannel({ ...shared, direction: "toCar" });
    const fromCar = createFaultyChannel({ ...shared, direction: "fromCar" });
    return {
      async connect(wanted) {
        let isOver = false;
        const hear = async ({ topic, payload }: ChannelPacket): Promise<void> => {
          if (!isOver) wanted.onMessage(topic, Buffer.from(payload, "latin1"));
        };
        const link = await transport.connect({
          ...wanted,
          onMessage(topic, payload) {
            // Byte for byte: latin1 keeps what is not ASCII as well.
            const packet = { topic, payload: payload.toString("latin1"), qos: 1, retain: false } as const;
            // Lost with its link: the control plane sends it again.
            toCar.send(packet, hear).catch(() => undefined);
          },
        });
        const cut = (): void => {
          isOver = true;
          toCar.cut();
          fromCar.cut();
        };
        void link.closed.then(cut);
        return {
          closed: link.closed,
          publish: (message: WireMessage) => fromCar.send(message, (packet) => link.publish(packet)),
          close() {
            cut();
            return link.close();
          },
          drop() {
            cut();
            link.drop();
          },
        };
      },
    };
  };
}

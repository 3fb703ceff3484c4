import type { Direction, FaultCounts, FaultKind, FaultSchedule, PacketFate } from "./fault-schedule.ts";
import type { Forger } from "./forger.ts";

/** A packet as the faults see it. */
export type ChannelPacket = { topic: string; payload: string; qos: 0 | 1; retain: boolean };

/** Calls `work` after `delayMs`. @returns a function that cancels it */
export type Postpone = (delayMs: number, work: () => void) => () => void;

export const postponeByTimer: Postpone = (delayMs, work) => {
  const timer = setTimeout(work, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};

export type ChannelParts = {
  car: string;
  direction: Direction;
  schedule: FaultSchedule;
  forger: Forger;
  counts: FaultCounts;
  /** The longest a packet is delayed; also how long a reordered one waits for a successor. Real time. */
  maxDelayMs: number;
  postpone: Postpone;
};

/** One direction of one car's link; it counts and remembers across connections. */
export type FaultyChannel = {
  /** Sends `packet` by `deliver`, or does to it what is planned; resolves or rejects as the delivery does. */
  send(packet: ChannelPacket, deliver: Deliver): Promise<void>;
  /** The connection is over: what waits is lost with it. */
  cut(): void;
};

export type Deliver = (packet: ChannelPacket) => Promise<void>;

/** Earlier packets kept for replaying. */
const remembered = 4;

type Held = { release: () => void; lose: () => void };

export function createFaultyChannel(parts: ChannelParts): FaultyChannel {
  const { car, direction, schedule, forger, counts, maxDelayMs, postpone } = parts;
  const replays = schedule.plans("replayed");
  const memory: ChannelPacket[] = [];
  const delayed = new Set<Held>();
  let reordered: Held | null = null;
  let index = 0;

  function remember(packet: ChannelPacket): void {
    if (!replays) return;
    memory.push(packet);
    if (memory.length > remembered) memory.shift();
  }

  /** Delivers later: at `release`, at the latest after `delayMs`; never when the link ends before. */
  function hold(
    packet: ChannelPacket,
    deliver: Deliver,
    delayMs: number,
  ): { held: Held; done: Promise<void> } {
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): boolean => {
      callOff();
      if (reordered === held) reordered = null;
      return delayed.delete(held);
    };
    const held: Held = {
      release: () => {
        if (leave()) deliver(packet).then(resolve, reject);
      },
      lose: () => {
        if (leave()) reject(new Error("the link ended while the packet was on its way"));
      },
    };
    const callOff = postpone(delayMs, held.release);
    delayed.add(held);
    return { held, done };
  }

  function pass(packet: ChannelPacket, deliver: Deliver): Promise<void> {
    counts.passed += 1;
    return deliver(packet);
  }

  async function suffer(
    { kind, draw }: Extract<PacketFate, { draw: number }>,
    packet: ChannelPacket,
    deliver: Deliver,
  ): Promise<void> {
    const count = (fault: FaultKind): void => {
      counts[fault] += 1;
    };
    switch (kind) {
      case "dropped":
        // Acknowledged and lost: brokers acknowledge before they store.
        return count("dropped");
      case "duplicated": {
        count("duplicated");
        const first = deliver(packet);
        deliver(packet).catch(() => undefined);
        return first;
      }
      case "delayed":
        count("delayed");
        return hold(packet, deliver, Math.ceil(draw * maxDelayMs)).done;
      case "reordered": {
        count("reordered");
        reordered?.release();
        const { held, done } = hold(packet, deliver, maxDelayMs);
        reordered = held;
        return done;
      }
      case "forged": {
        const payload = forger.forge(packet.payload, draw);
        if (payload === null) return pass(packet, deliver);
        count("forged");
        return deliver({ ...packet, payload });
      }
      case "replayed": {
        const earlier = memory[Math.floor(draw * memory.length)];
        if (earlier === undefined) return pass(packet, deliver);
        count("replayed");
        const present = deliver(packet);
        deliver(earlier).catch(() => undefined);
        return present;
      }
    }
  }

  return {
    send(packet, deliver) {
      const fate = schedule.fateOf(car, direction, index);
      index += 1;
      const overtaken = reordered;
      const sent = fate.kind === "passed" ? pass(packet, deliver) : suffer(fate, packet, deliver);
      remember(packet);
      overtaken?.release();
      return sent;
    },
    cut() {
      for (const held of [...delayed]) held.lose();
    },
  };
}

import { Readable } from "node:stream";
import { parseJson } from "@caas/contract/parse-json.ts";
import { presenceSchema } from "@caas/contract/presence.ts";
import * as z from "zod";
import { createCleanSessionStore } from "../aedes/clean-session-store.ts";
import { aedesPacket } from "../aedes/packets.ts";
import { compileFilter, hasWildcard } from "../lane/topic-filter.ts";
import type { RedisBus } from "./redis-bus.ts";

// What the broker stores for a fleet of clean sessions, in Redis for all its processes: each car's retained presence,
// and its will in case the process that holds its connection dies.

type Packet = { topic: string; payload: Uint8Array; qos?: number };
type WillOwner = { id: string; brokerId?: string };

const willSchema = z.object({
  topic: z.string(),
  payload: z.string(),
  qos: z.union([z.literal(0), z.literal(1)]),
});

/**
 * Stores a presence unless a newer connection has stored one: after a car has moved, the process it left publishes
 * "offline" for the old connection, possibly late.
 */
const keepPresence = `
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  local readOld, before = pcall(cjson.decode, old)
  local readNew, now = pcall(cjson.decode, ARGV[2])
  if readOld and readNew and type(before) == 'table' and type(now) == 'table'
    and type(before.connection) == 'number' and type(now.connection) == 'number'
    and now.connection < before.connection then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`;

/** Fields per answer. */
const scanCount = 1_000;
/** Presences announced at a time after a break, so that no process is flooded. */
const announcedAtOnce = 500;
const announceEveryMs = 50;
/** For how long after Redis returns cars that left meanwhile are still announced: other processes return later. */
const rememberGoneMs = 60_000;

export type SharedStore = ReturnType<typeof createSharedStore>;

export function createSharedStore(options: {
  id: string;
  prefix: string;
  bus: Pick<RedisBus, "keep" | "isUp" | "upForMs">;
  /** Before that the silence of another process means nothing. */
  trustSilenceAfterMs: number;
  onLost(): void;
}) {
  const { id, prefix, bus, onLost } = options;
  const keys = { retained: `${prefix}:retained`, processes: `${prefix}:processes` };
  const willsOf = (process: string): string => `${prefix}:wills:${process}`;
  /** The presence of each car connected here, and of those that left while Redis was away. */
  const here = new Map<string, Packet>();
  const wills = new Map<string, string>();
  let announcing: NodeJS.Timeout | undefined;
  let forgetting: NodeJS.Timeout | undefined;

  const lose = (): void => onLost();

  function keepRetained(topic: string, payload: Uint8Array): void {
    const text = Buffer.from(payload);
    if (text.length === 0) bus.keep.hdel(keys.retained, topic).catch(lose);
    else bus.keep.eval(keepPresence, 1, keys.retained, topic, text).catch(lose);
  }

  async function* retainedFor(filters: readonly string[]): AsyncGenerator<Packet> {
    for (const filter of filters) {
      if (!hasWildcard(filter)) {
        const payload = here.get(filter)?.payload ?? (await readOne(filter));
        if (payload !== null) yield packetOf(filter, Buffer.from(payload));
        continue;
      }
      const matches = compileFilter(filter);
      for await (const [topic, payload] of allRetained())
        if (matches(topic)) yield packetOf(topic, Buffer.from(payload));
    }
  }

  async function readOne(topic: string): Promise<string | null> {
    // Messages to a car are never retained, and thousands of cars subscribe at once.
    if (!topic.endsWith("/presence")) return null;
    return bus.keep.hget(keys.retained, topic).catch(() => null);
  }

  /** Of all cars; without Redis of the cars here, and the other processes announce theirs when it is back. */
  async function* allRetained(): AsyncGenerator<[string, Uint8Array | string]> {
    if (!bus.isUp()) {
      for (const [topic, { payload }] of here) yield [topic, payload];
      return;
    }
    yield* scan(keys.retained);
  }

  async function* scan(key: string): AsyncGenerator<[string, string]> {
    try {
      for (let cursor = "0"; ; ) {
        const [next, fields] = await bus.keep.hscan(key, cursor, "COUNT", scanCount);
        for (let index = 0; index + 1 < fields.length; index += 2)
          yield [fields[index] ?? "", fields[index + 1] ?? ""];
        if (next === "0") return;
        cursor = next;
      }
    } catch {
      onLost();
    }
  }

  /** Wills held by processes without a heartbeat. */
  async function* orphanedWills(alive: Readonly<Record<string, number>>) {
    if (bus.upForMs() < options.trustSilenceAfterMs) return;
    const processes = await bus.keep.smembers(keys.processes).catch(() => []);
    for (const process of processes) {
      if (process === id || alive[process] !== undefined) continue;
      let count = 0;
      for await (const [clientId, text] of scan(willsOf(process))) {
        count += 1;
        const will = willSchema.safeParse(parseJson(text));
        if (will.success)
          yield {
            ...packetOf(will.data.topic, Buffer.from(will.data.payload), will.data.qos),
            ...{ brokerId: process, clientId },
          };
        else bus.keep.hdel(willsOf(process), clientId).catch(lose);
      }
      // When none is left, the process is forgotten.
      if (count === 0)
        bus.keep.multi().srem(keys.processes, process).del(willsOf(process)).exec().catch(lose);
    }
  }

  function forgetGone(): void {
    if (!bus.isUp()) return;
    for (const [topic, { payload }] of here) if (!isOnlineWord(payload)) here.delete(topic);
  }

  return {
    ...createCleanSessionStore(),
    storeRetained(packet: Packet) {
      const { topic, payload } = packet;
      const isOnline = payload.length > 0 && isOnlineWord(payload);
      // A car that has gone is remembered only until Redis has it.
      if (isOnline || !bus.isUp()) here.set(topic, { topic, payload: Buffer.from(payload) });
      else here.delete(topic);
      keepRetained(topic, payload);
      return done;
    },
    createRetainedStreamCombi: (filters: readonly string[]) => Readable.from(retainedFor(filters)),
    createRetainedStream: (filter: string) => Readable.from(retainedFor([filter])),
    putWill(client: WillOwner, packet: Packet) {
      const text = JSON.stringify({
        topic: packet.topic,
        payload: Buffer.from(packet.payload).toString(),
        qos: packet.qos ?? 0,
      });
      wills.set(client.id, text);
      bus.keep.hset(willsOf(id), client.id, text).catch(lose);
      return done;
    },
    delWill({ id: clientId, brokerId = id }: WillOwner) {
      const known = brokerId !== id || wills.delete(clientId);
      if (known) bus.keep.hdel(willsOf(brokerId), clientId).catch(lose);
      return done;
    },
    /** The number of the connection that a car has here, as its will says; `null` for any other client. */
    connectionOf(clientId: string): number | null {
      const will = willSchema.safeParse(parseJson(wills.get(clientId) ?? ""));
      const said = will.success ? presenceSchema.safeParse(parseJson(will.data.payload)) : undefined;
      return said?.success === true ? said.data.connection : null;
    },
    streamWill: (alive: Readonly<Record<string, number>>) => Readable.from(orphanedWills(alive)),

    /**
     * After a break: stores the wills and presences of this process again.
     * @param say tells the other processes
     */
    announce(say: (packet: Packet) => void): void {
      clearTimeout(announcing);
      bus.keep.sadd(keys.processes, id).catch(lose);
      const left = here.entries();
      const leftWills = wills.entries();
      const some = (): void => {
        if (!bus.isUp()) return;
        let more = false;
        for (const [topic, packet] of left.take(announcedAtOnce)) {
          more = true;
          keepRetained(topic, packet.payload);
          say(packet);
        }
        for (const [clientId, text] of leftWills.take(announcedAtOnce)) {
          more = true;
          bus.keep.hset(willsOf(id), clientId, text).catch(lose);
        }
        if (more) announcing = setTimeout(some, announceEveryMs);
      };
      some();
      clearTimeout(forgetting);
      forgetting = setTimeout(forgetGone, rememberGoneMs).unref();
    },
    /** This process ends in order: its cars' wills have been published. */
    async leave(): Promise<void> {
      clearTimeout(announcing);
      clearTimeout(forgetting);
      if (bus.isUp()) await bus.keep.multi().srem(keys.processes, id).del(willsOf(id)).exec().catch(lose);
    },
  };
}

const done = Promise.resolve(undefined);

function packetOf(topic: string, payload: Buffer, qos: 0 | 1 = 1) {
  return aedesPacket({ topic, payload, qos, retain: true });
}

function isOnlineWord(payload: Uint8Array): boolean {
  const said = z.object({ state: z.literal("online") }).safeParse(parseJson(Buffer.from(payload).toString()));
  return said.success;
}

import { once } from "node:events";
import { createServer } from "node:net";
import { Aedes } from "aedes";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCleanSessionStore } from "../aedes/clean-session-store.ts";
import { createEmitter } from "../aedes/packets.ts";
import { connectTo, hear } from "../testing/fleet.ts";
import { compileFilter } from "./topic-filter.ts";
import { createTopicSwitch, type Listener } from "./topic-switch.ts";

/** The filters whose listeners received `topic`. */
async function hearersOf(topic: string, filters: readonly string[]): Promise<string[]> {
  const topicSwitch = createTopicSwitch();
  const heard: string[] = [];
  for (const filter of filters)
    topicSwitch.on(filter, (_message, done) => {
      heard.push(filter);
      setImmediate(done);
    });
  await new Promise<void>((resolve) => topicSwitch.emit({ topic }, () => resolve()));
  return heard.sort();
}

/** The same with aedes and its own emitter. */
function hearersInAedes(topic: string, filters: readonly string[]): Promise<string[]> {
  const aedes = new Aedes();
  const heard: string[] = [];
  for (const filter of filters)
    aedes.subscribe(
      filter,
      (_packet, done) => {
        heard.push(filter);
        done();
      },
      () => {},
    );
  const message = { cmd: "publish", topic, payload: "", qos: 0, dup: false, retain: false } as const;
  return new Promise((resolve) => aedes.publish(message, () => resolve(heard.sort())));
}

describe("the listeners of a topic", () => {
  test.each([
    { filter: "caas/v1/+/report", topic: "caas/v1/A/report", matches: true },
    { filter: "caas/v1/+/report", topic: "caas/v1/A/B/report", matches: false },
    { filter: "caas/v1/+/report", topic: "caas/v1/report", matches: false },
    { filter: "caas/v1/+/report", topic: "caas/v1//report", matches: true },
    { filter: "caas/v1/+/report", topic: "caas/v1/A/reports", matches: false },
    { filter: "+/b", topic: "$SYS/b", matches: false },
    { filter: "$SYS/+/birth", topic: "$SYS/x/birth", matches: true },
    { filter: "a/#", topic: "a", matches: true },
    { filter: "a/#", topic: "a/b/c", matches: true },
    { filter: "#", topic: "$SYS/x", matches: false },
    { filter: "+", topic: "a/b", matches: false },
    { filter: "a/+", topic: "a", matches: false },
    { filter: "a/+/+", topic: "a/b/c", matches: true },
  ])("$filter and $topic: $matches (MQTT 3.1.1, 4.7)", ({ filter, topic, matches }) => {
    expect(compileFilter(filter)(topic)).toBe(matches);
  });

  test("are the same as with aedes' own emitter, for all topics and filters", async () => {
    const level = fc.constantFrom("a", "b", "caas", "report", "");
    const topic = fc
      .array(level, { minLength: 1, maxLength: 4 })
      .map((levels) => levels.join("/"))
      .filter((text) => text !== "");
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant("+")), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([levels, isOpen]) => [...levels, ...(isOpen ? ["#"] : [])].join("/"))
      .filter((text) => text !== "");
    await fc.assert(
      fc.asyncProperty(topic, fc.array(filter, { maxLength: 5 }), async (name, filters) => {
        expect(await hearersOf(name, filters)).toEqual(await hearersInAedes(name, filters));
      }),
      { numRuns: 500 },
    );
  });
});

describe("delivery", () => {
  test("aedes does not drop a message that another has overtaken", async () => {
    const aedes = await Aedes.createBroker({
      mq: createEmitter(createTopicSwitch()),
      persistence: createCleanSessionStore(),
    });
    const server = createServer((socket) => void aedes.handle(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const client = await connectTo(address.port, { clientId: "c" });
    await client.subscribeAsync("a", { qos: 1 });
    const heard = hear(client, 2);
    const message = { cmd: "publish", topic: "a", dup: false, retain: false } as const;
    // The first waits for the store's answer meanwhile.
    aedes.publish({ ...message, payload: "1", qos: 1 }, () => {});
    aedes.publish({ ...message, payload: "2", qos: 0 }, () => {});
    expect((await heard).map(({ payload }) => payload).toSorted()).toEqual(["1", "2"]);
    await client.endAsync();
    await new Promise<void>((resolve) => aedes.close(resolve));
    server.close();
  });

  test("ends when the last listener is done", async () => {
    const topicSwitch = createTopicSwitch();
    const waiting: Array<() => void> = [];
    const wait: Listener = (_message, done) => void waiting.push(done);
    topicSwitch.on("a", wait).on("+", wait).on("a", wait);
    let isOver = false;
    topicSwitch.emit({ topic: "a" }, () => {
      isOver = true;
    });
    expect(waiting).toHaveLength(3);
    for (const done of waiting) {
      expect(isOver).toBe(false);
      done();
    }
    expect(isOver).toBe(true);
  });

  test("a listener that left gets nothing more, the others do", async () => {
    const topicSwitch = createTopicSwitch();
    const heard: string[] = [];
    const named =
      (name: string): Listener =>
      (_message, done) => {
        heard.push(name);
        done();
      };
    const [leaver, leaverOfAll, stayer] = [named("leaver"), named("leaver of all"), named("stayer")];
    topicSwitch.on("a", leaver).on("a", stayer).on("+", leaverOfAll);
    await new Promise<void>((resolve) => topicSwitch.removeListener("a", leaver, resolve));
    await new Promise<void>((resolve) => topicSwitch.removeListener("+", leaverOfAll, resolve));
    topicSwitch.emit({ topic: "a" });
    expect(heard).toEqual(["stayer"]);
  });

  test("is refused after the end", async () => {
    const topicSwitch = createTopicSwitch();
    await new Promise<void>((resolve) => topicSwitch.close(resolve));
    const error = await new Promise((resolve) => topicSwitch.emit({ topic: "a" }, resolve));
    expect(error).toBeInstanceOf(Error);
  });
});

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { VerifyingKey } from "@caas/contract/jws.ts";
import { pino } from "pino";
import type { CarAdapter } from "../adapters/adapter.ts";
import { type Agent, type AgentOptions, createAgent } from "../agent.ts";
import { keySetFileName } from "../identity/identity.ts";
import { createMqttTransport } from "../link/mqtt-transport.ts";
import { type AgentStorage, createMemoryStorage } from "../storage/storage.ts";
import { createTestClock, type TestClock } from "./test-clock.ts";
import { createTestSigner, makeSigningKey, type TestSigner, testVin } from "./test-signer.ts";

export type TestCar = {
  agent: Agent;
  storage: AgentStorage;
  clock: TestClock;
  signer: TestSigner;
  vin: typeof testVin;
  proofKey: ReturnType<typeof makeSigningKey>;
  /** Verifies what this car signs. */
  verifyingKey: VerifyingKey;
  /** The same car after a power cycle: same disk, same keys, new agent. */
  again(changes?: Partial<AgentOptions>): TestCar;
};

/** A car in this process on a real MQTT link, with its key set installed and its storage in memory. */
export async function makeTestCar(
  brokerUrl: string,
  adapter: CarAdapter,
  changes: Partial<AgentOptions> = {},
): Promise<TestCar> {
  const signer = createTestSigner();
  const storage = changes.storage ?? createMemoryStorage();
  const clock = createTestClock();
  const proofKey = makeSigningKey();
  await storage.write(keySetFileName, signer.keySet(1));
  const make = (more: Partial<AgentOptions>): TestCar => ({
    agent: createAgent({
      identity: { vin: testVin, proofKey, rootPublicKey: signer.root.x },
      storage,
      adapter,
      clock,
      transport: createMqttTransport({
        url: brokerUrl,
        username: testVin,
        password: randomUUID(),
        tls: { certificate: "", key: "", ca: "" },
      }),
      // No jitter: a lost connection comes back at once.
      random: () => 0,
      logger: pino({ level: "silent" }),
      ...more,
    }),
    storage,
    clock,
    signer,
    vin: testVin,
    proofKey,
    verifyingKey: { kid: proofKey.kid, publicKey: proofKey.privateKey },
    again: (other = {}) => make({ ...more, ...other }),
  });
  return make(changes);
}

/** Starts an agent and waits until its first report has been taken. */
export async function startConnected(agent: Agent): Promise<void> {
  const connected = once(agent, "connected");
  await agent.start();
  await connected;
}

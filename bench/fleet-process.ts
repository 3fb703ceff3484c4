import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import * as z from "zod";

const verdictSchema = z.object({
  kind: z.literal("verdict"),
  /** Cars whose active slot holds something else than the database says they shall hold. */
  notConverged: z.int(),
  applied: z.int(),
  failed: z.int(),
  refused: z.int(),
});
export type FleetVerdict = z.infer<typeof verdictSchema>;

export type FleetProcess = { judge(): Promise<FleetVerdict>; stop(): Promise<void> };

export type FleetProcessOptions = {
  databaseUrl: string;
  keysDir: string;
  brokerUrl: string;
  carSecret: string;
  cars: number;
  seed: number;
  signal: AbortSignal;
};

const entry = fileURLToPath(new URL("./fleet-program.ts", import.meta.url));

/**
 * Puts the cars into the database and connects them, in a process of its own.
 * @throws Error when it ends before every car is connected, or `signal` aborts.
 */
export async function startFleetProcess(options: FleetProcessOptions): Promise<FleetProcess> {
  const child = fork(entry, {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    env: {
      ...process.env,
      BENCH_DATABASE_URL: options.databaseUrl,
      BENCH_KEYS_DIR: options.keysDir,
      BENCH_BROKER_URL: options.brokerUrl,
      BENCH_CAR_SECRET: options.carSecret,
      BENCH_CARS: String(options.cars),
      BENCH_SEED: String(options.seed),
    },
  });
  const giveUp = () => child.kill("SIGKILL");
  options.signal.addEventListener("abort", giveUp, { once: true });
  try {
    await hear(child);
  } finally {
    options.signal.removeEventListener("abort", giveUp);
  }
  return {
    async judge() {
      child.send("judge");
      return verdictSchema.parse(await hear(child));
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}

/** The child's next message. @throws Error when it ends instead. */
function hear(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the fleet ended early with code ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message);
    });
  });
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { topicOf } from "@caas/contract/topics.ts";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { variableNames } from "./config.ts";
import { connectCar, passwords, testVin } from "./testing/fleet.ts";

const program = new URL("./main.ts", import.meta.url).pathname;
const env = {
  PATH: process.env.PATH,
  BROKER_TCP_PORT: "0",
  BROKER_METRICS_PORT: "0",
  BROKER_CAR_SECRET: passwords.carSecret,
  BROKER_CONTROL_PLANE_PASSWORD: passwords.controlPlanePassword,
  LOG_LEVEL: "warn",
};

function run(args: readonly string[], environment: NodeJS.ProcessEnv, ipc = false): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe", ...(ipc ? (["ipc"] as const) : [])],
  });
}

const readyLine = z.strictObject({
  ready: z.literal(true),
  addresses: z.strictObject({
    tcpPort: z.int().positive(),
    tlsPort: z.null(),
    metricsPort: z.int().positive(),
  }),
});

async function untilReady(child: ChildProcess) {
  if (child.stdout === null) throw new Error("a child without stdout");
  const [line]: unknown[] = await once(createInterface(child.stdout), "line");
  return readyLine.parse(JSON.parse(String(line))).addresses;
}

describe("the program caas-broker", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "prints its addresses, serves, and ends cleanly on %s",
    async (signal) => {
      const child = run([], env);
      const { tcpPort, metricsPort } = await untilReady(child);
      const car = await connectCar(tcpPort, testVin(1));
      await car.publishAsync(topicOf(testVin(1), "report"), "x", { qos: 1 });
      expect((await fetch(`http://127.0.0.1:${metricsPort}/health`)).status).toBe(200);
      const exited = once(child, "exit");
      child.kill(signal);
      expect(await exited).toEqual([0, null]);
    },
  );

  test("ends when its parent process is gone", async () => {
    const child = run([], env, true);
    await untilReady(child);
    const exited = once(child, "exit");
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  });

  test("--policy open needs no secrets", async () => {
    const child = run(["--policy", "open"], {
      PATH: process.env.PATH,
      BROKER_TCP_PORT: "0",
      BROKER_METRICS_PORT: "0",
    });
    await untilReady(child);
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  });

  test.each([
    ["a bad port", [], { ...env, BROKER_TCP_PORT: "x" }, 2, "BROKER_TCP_PORT"],
    ["a missing secret", [], { ...env, BROKER_CAR_SECRET: undefined }, 2, "BROKER_CAR_SECRET"],
    ["an unknown policy", ["--policy", "closed"], env, 2, "BROKER_POLICY"],
    ["an unknown option", ["--wide"], env, 2, "--wide"],
    [
      "an open policy beyond loopback",
      ["--policy", "open"],
      { ...env, BROKER_TCP_HOST: "0.0.0.0" },
      2,
      "BROKER_TCP_HOST",
    ],
    [
      "a key file that is not there",
      [],
      {
        ...env,
        BROKER_TLS_PORT: "0",
        BROKER_TLS_KEY_FILE: "/nowhere/key.pem",
        BROKER_TLS_CERT_FILE: "/nowhere/cert.pem",
        BROKER_TLS_CLIENT_CA_FILE: "/nowhere/ca.pem",
      },
      1,
      "BROKER_TLS_KEY_FILE",
    ],
  ])("%s stops the start with a sentence that names it", async (_, args, environment, exitCode, name) => {
    const child = run(args, environment);
    if (child.stderr === null) throw new Error("a child without stderr");
    const exited = once(child, "exit");
    expect(await text(child.stderr)).toContain(name);
    expect(await exited).toEqual([exitCode, null]);
  });

  test("--help names every variable it reads", async () => {
    const child = run(["--help"], { PATH: process.env.PATH });
    if (child.stdout === null) throw new Error("a child without stdout");
    const help = await text(child.stdout);
    for (const name of variableNames) expect(help).toContain(name);
  });
});

import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { Profile } from "../behaviour/profile.ts";
import { fleetFileName, readFleetFile, type StoredCar, writeFleetFile } from "../fleet/fleet-file.ts";
import { type Call, type Command, type News, type Reply, replySchema } from "./host-messages.ts";

export type CarHostsOptions = {
  /** Below it each process keeps its part of the fleet. */
  folder: string;
  processes: number;
  cars: readonly StoredCar[];
  packages: readonly EnrolmentPackage[];
  seed: number;
  profile: Profile;
  brokerUrl: string | null;
  businessTime: string | null;
};

export type CarHostsEvents = {
  news: [news: News, host: number];
  adopted: [vin: string];
  /** A process went by itself; its cars are gone. */
  lost: [host: number, why: string];
};

/** The processes that host a run's cars, spoken to as one. */
export type CarHosts = EventEmitter<CarHostsEvents> & {
  readonly pids: readonly number[];
  /** Every car and its kind. */
  readonly cars: ReadonlyMap<string, string>;
  wake(vins: readonly string[], overMs: number): Promise<void>;
  sleep(vins: readonly string[], overMs: number): Promise<void>;
  cut(vins: readonly string[], forMs: number, reason: "regional outage" | "storm"): Promise<void>;
  adopt(given: EnrolmentPackage): Promise<void>;
  /** What these cars wait for, and how many of them for each. */
  explain(vins: readonly string[]): Promise<Record<string, number>>;
  stop(): Promise<void>;
};

const program = fileURLToPath(new URL("./host-program.ts", import.meta.url));
/** Saying goodbye takes at most about two seconds for each 128 cars whose broker is gone. */
const stopTimeoutMs = 20_000;

type Answering = { resolve: () => void; reject: (error: Error) => void };
type Host = { child: ChildProcess; vins: Set<string>; lastId: number; answering: Map<number, Answering> };

/** The cars of all parts as their processes have written them last: after enrolment, and when they end. */
export async function readParts(folder: string, processes: number): Promise<StoredCar[]> {
  const folders = Array.from({ length: processes }, (_, index) => partFolder(folder, index)).flatMap(
    (part) => [
      part,
      // Cars that were sold during the run have one each.
      ...readdirSync(part, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => join(part, name)),
    ],
  );
  const read = folders.map((one) => readFleetFile(join(one, fleetFileName)));
  return (await Promise.all(read)).flat();
}

function partFolder(folder: string, index: number): string {
  return join(folder, `cars-${index + 1}`);
}

/**
 * Writes each process its part of the fleet and starts it; cars with a package enrol meanwhile.
 * @throws Error when a part cannot be prepared
 */
export async function startCarHosts(options: CarHostsOptions): Promise<CarHosts> {
  const events = new EventEmitter<CarHostsEvents>();
  const cars = new Map<string, string>();
  const hosts: Host[] = [];
  let isStopping = false;
  let explained: Record<string, number> = {};
  const { processes } = options;
  const partOf = <T>(all: readonly T[], part: number): T[] =>
    all.slice(Math.floor((all.length * part) / processes), Math.floor((all.length * (part + 1)) / processes));

  async function startHost(index: number, firstIndex: number): Promise<void> {
    const folder = partFolder(options.folder, index);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await writeFleetFile(join(folder, fleetFileName), partOf(options.cars, index));
    const child = fork(program, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const host: Host = { child, vins: new Set(), lastId: 0, answering: new Map() };
    hosts.push(host);
    child.on("exit", (code, signal) => {
      const why = `a process of cars ended with ${signal ?? `code ${code}`}`;
      for (const { reject } of host.answering.values()) reject(new Error(why));
      host.answering.clear();
      if (!isStopping) events.emit("lost", index, why);
    });
    child.on("message", (message) => hear(host, index, replySchema.parse(message)));
    await call(host, {
      kind: "prepare",
      folder,
      packages: partOf(options.packages, index),
      firstIndex,
      seed: options.seed,
      profile: options.profile,
      brokerUrl: options.brokerUrl,
      businessTime: options.businessTime,
    });
  }

  function hear(host: Host, index: number, reply: Reply): void {
    switch (reply.kind) {
      case "news":
        return void events.emit("news", reply, index);
      case "adopted":
        host.vins.add(reply.vin);
        cars.set(reply.vin, reply.carKind);
        return void events.emit("adopted", reply.vin);
      case "prepared":
        for (const { vin, carKind } of reply.cars) {
          host.vins.add(vin);
          cars.set(vin, carKind);
        }
        return;
      case "explained":
        for (const [reason, count] of Object.entries(reply.reasons))
          explained[reason] = (explained[reason] ?? 0) + count;
        return;
      case "done":
        host.answering.get(reply.id)?.resolve();
        host.answering.delete(reply.id);
        return;
      case "failed":
        host.answering.get(reply.id)?.reject(new Error(reply.why));
        host.answering.delete(reply.id);
        return;
    }
  }

  /** Only the cars of each process are told to it. */
  async function tellOwners(
    vins: readonly string[],
    commandFor: (own: string[]) => Exclude<Command, { kind: "prepare" }>,
  ): Promise<void> {
    await Promise.all(
      hosts.map(async (host) => {
        const own = vins.filter((vin) => host.vins.has(vin));
        if (own.length === 0 || !host.child.connected) return;
        await call(host, commandFor(own));
      }),
    );
  }

  try {
    await Promise.all(
      Array.from({ length: processes }, (_, index) =>
        startHost(index, Math.floor(((options.cars.length + options.packages.length) * index) / processes)),
      ),
    );
  } catch (error) {
    isStopping = true;
    for (const { child } of hosts) child.kill("SIGKILL");
    throw error;
  }

  return Object.assign(events, {
    pids: hosts.flatMap(({ child }) => child.pid ?? []),
    cars,
    wake: (vins: readonly string[], overMs: number) =>
      tellOwners(vins, (own) => ({ kind: "wake", vins: own, overMs })),
    sleep: (vins: readonly string[], overMs: number) =>
      tellOwners(vins, (own) => ({ kind: "sleep", vins: own, overMs })),
    cut: (vins: readonly string[], forMs: number, reason: "regional outage" | "storm") =>
      tellOwners(vins, (own) => ({ kind: "cut", vins: own, forMs, reason })),
    async adopt(given: EnrolmentPackage) {
      // To the process with the fewest cars.
      const [host] = hosts.toSorted((left, right) => left.vins.size - right.vins.size);
      if (host === undefined) throw new Error("there is no process for a new car");
      await call(host, { kind: "adopt", package: given });
    },
    async explain(vins: readonly string[]) {
      explained = {};
      await tellOwners(vins, (own) => ({ kind: "explain", vins: own }));
      return explained;
    },
    async stop() {
      isStopping = true;
      await Promise.all(hosts.map(stopHost));
    },
  });
}

function call(host: Host, command: Command): Promise<void> {
  if (!host.child.connected) return Promise.reject(new Error("a process of cars has ended"));
  host.lastId += 1;
  const id = host.lastId;
  return new Promise((resolve, reject) => {
    host.answering.set(id, { resolve, reject });
    host.child.send({ id, command } satisfies Call);
  });
}

async function stopHost(host: Host): Promise<void> {
  const { child } = host;
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  // Its end is the answer.
  call(host, { kind: "stop" }).catch(() => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await gone;
  clearTimeout(timer);
}

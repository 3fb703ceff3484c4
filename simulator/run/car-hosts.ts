import { EventEmitter } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { writeDisk } from "../fleet/car-storage.ts";
import { fleetFileName, readFleetFile, type StoredCar, writeFleetFile } from "../fleet/fleet-file.ts";
import { type CalledProcess, type ProcessEnd, startCalledProcess } from "../processes/called-process.ts";
import { merge } from "./collected-news.ts";
import {
  type Command,
  countsSchema,
  type HeldByCar,
  heldSchema,
  type News,
  type Prepare,
  preparedSchema,
  type Told,
  toldSchema,
} from "./host-messages.ts";
import type { World } from "./world.ts";

export type CarHostsOptions = Pick<Prepare, "seed" | "profile"> & {
  /** Below it each process keeps its part of the fleet. */
  folder: string;
  processes: number;
  /** Without cars: those that are in the folder already. */
  world: Pick<World, "cars" | "packages" | "brokerUrl" | "businessTime">;
  differing?: Partial<typeof ordinary>;
};

/** What benchmarks and rehearsals of failure change. */
const ordinary: Pick<
  Prepare,
  "storage" | "fates" | "outOfReach" | "isHealed" | "tellsOutcomes" | "failpoints" | "commitsFile"
> = {
  storage: "file",
  fates: null,
  outOfReach: [],
  isHealed: false,
  tellsOutcomes: true,
  failpoints: "",
  commitsFile: null,
};

export type CarHostsEvents = {
  news: [news: News, host: number];
  adopted: [vin: string];
  /** The car has lost what proves it, and stays down until `enrolAgain`. */
  needsEnrolment: [vin: string];
  /** A process went by itself, or did not end as it should; its cars are gone. */
  lost: [host: number, end: ProcessEnd];
};

/** The processes that host a run's cars, addressed as one. */
export type CarHosts = EventEmitter<CarHostsEvents> & {
  readonly pids: readonly number[];
  /** Every car and its kind. */
  readonly cars: ReadonlyMap<string, string>;
  wake(vins: readonly string[], overMs: number): Promise<void>;
  sleep(vins: readonly string[], overMs: number): Promise<void>;
  cut(vins: readonly string[], forMs: number, reason: "regional outage" | "storm"): Promise<void>;
  /** Out of reach until `reach`. */
  cutOff(vins: readonly string[]): Promise<void>;
  reach(vins: readonly string[]): Promise<void>;
  /** Every connection ends, and the next ones spoil no packet. */
  heal(): Promise<void>;
  adopt(given: EnrolmentPackage): Promise<void>;
  /** @throws Error when its process does not run, or the control plane does not take the package */
  enrolAgain(given: EnrolmentPackage): Promise<void>;
  /** What the active slots of all cars really hold. */
  show(): Promise<HeldByCar[]>;
  /** What these cars wait for, and how many of them for each. */
  explain(vins: readonly string[]): Promise<Record<string, number>>;
  /** kill -9, from outside. */
  kill(): void;
  stop(): Promise<void>;
};

const program = new URL("./host-program.ts", import.meta.url);
/** Saying goodbye takes at most about two seconds for each 128 cars whose broker is gone. */
const stopTimeoutMs = 20_000;

type Host = { process: CalledProcess; vins: Set<string> };

/** All cars as their processes have saved them last: after enrolment, and when they end. */
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
  const { processes, seed, profile, world } = options;
  const settings = { ...ordinary, ...options.differing, seed, profile };
  const partOf = <T>(all: readonly T[], part: number): T[] =>
    all.slice(Math.floor((all.length * part) / processes), Math.floor((all.length * (part + 1)) / processes));

  async function startHost(index: number, firstIndex: number): Promise<void> {
    const folder = partFolder(options.folder, index);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const own = partOf(world.cars, index);
    if (settings.storage === "disks") for (const { vin, car } of own) await writeDisk(join(folder, vin), car);
    else if (own.length > 0) await writeFleetFile(join(folder, fleetFileName), own);
    const process = startCalledProcess(program, {
      name: "a process of cars",
      onTold: (message) => hear(host, index, toldSchema.parse(message)),
      onEnd: (end) => void events.emit("lost", index, end),
    });
    const host: Host = { process, vins: new Set() };
    hosts.push(host);
    const prepared = await process.call({
      kind: "prepare",
      ...settings,
      folder,
      packages: partOf(world.packages, index),
      firstIndex,
      brokerUrl: world.brokerUrl,
      businessTime: world.businessTime,
    } satisfies Prepare);
    for (const { vin, carKind } of preparedSchema.parse(prepared)) take(host, vin, carKind);
  }

  function take(host: Host, vin: string, carKind: string): void {
    host.vins.add(vin);
    cars.set(vin, carKind);
  }

  function hear(host: Host, index: number, told: Told): void {
    if (told.kind === "news") return void events.emit("news", told, index);
    if (told.kind === "needsEnrolment") return void events.emit("needsEnrolment", told.vin);
    take(host, told.vin, told.carKind);
    events.emit("adopted", told.vin);
  }

  /** Tells each process about its own cars only. @returns the answers */
  function tellOwners(
    vins: readonly string[],
    commandFor: (own: string[]) => Exclude<Command, { kind: "prepare" }>,
  ): Promise<unknown[]> {
    return Promise.all(
      hosts.flatMap((host) => {
        const own = vins.filter((vin) => host.vins.has(vin));
        return own.length === 0 || !host.process.isRunning ? [] : host.process.call(commandFor(own));
      }),
    );
  }

  try {
    await Promise.all(
      Array.from({ length: processes }, (_, index) =>
        startHost(index, Math.floor(((world.cars.length + world.packages.length) * index) / processes)),
      ),
    );
  } catch (error) {
    for (const host of hosts) host.process.kill();
    throw error;
  }

  return Object.assign(events, {
    pids: hosts.flatMap(({ process }) => process.pid ?? []),
    cars,
    async wake(vins: readonly string[], overMs: number) {
      await tellOwners(vins, (own) => ({ kind: "wake", vins: own, overMs }));
    },
    async sleep(vins: readonly string[], overMs: number) {
      await tellOwners(vins, (own) => ({ kind: "sleep", vins: own, overMs }));
    },
    async cut(vins: readonly string[], forMs: number, reason: "regional outage" | "storm") {
      await tellOwners(vins, (own) => ({ kind: "cut", vins: own, forMs, reason }));
    },
    async cutOff(vins: readonly string[]) {
      await tellOwners(vins, (own) => ({ kind: "cutOff", vins: own }));
    },
    async reach(vins: readonly string[]) {
      await tellOwners(vins, (own) => ({ kind: "reach", vins: own }));
    },
    async heal() {
      await tellOwners([...cars.keys()], (own) => ({ kind: "heal", vins: own }));
    },
    async adopt(given: EnrolmentPackage) {
      // To the process with the fewest cars.
      const [host] = hosts.toSorted((left, right) => left.vins.size - right.vins.size);
      if (host === undefined) throw new Error("there is no process for a new car");
      await host.process.call({ kind: "adopt", package: given } satisfies Command);
    },
    async enrolAgain(given: EnrolmentPackage) {
      const answers = await tellOwners([given.vin], () => ({ kind: "enrolAgain", package: given }));
      if (answers.length === 0) throw new Error(`the process that hosts ${given.vin} does not run`);
    },
    async show() {
      const shown = await tellOwners([...cars.keys()], (own) => ({ kind: "show", vins: own }));
      return shown.flatMap((held) => z.array(heldSchema).parse(held));
    },
    async explain(vins: readonly string[]) {
      const explained = await tellOwners(vins, (own) => ({ kind: "explain", vins: own }));
      return merge(explained.map((reasons) => countsSchema.parse(reasons)));
    },
    kill() {
      for (const host of hosts) host.process.kill();
    },
    async stop() {
      await Promise.all(hosts.map(({ process }) => process.stop(stopTimeoutMs)));
    },
  });
}

import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { StoredCar } from "../fleet/fleet-file.ts";

/** A customer who can buy services for a car over REST. */
export type Owner = { vin: string; vehicleId: string; username: string; password: string };

/** A seller's login, and where the stand-ins for the factory and the mailboxes are. */
export type Dealership = { username: string; password: string; factoryUrl: string; inboxUrl: string };

/** A part of the platform on this machine and the µs of processor time it has used. */
export type PartTimes = Readonly<Record<string, number>>;

/** What a run plays in: the platform as far as it can be reached from outside, and the cars that are its own. */
export type World = {
  /** For the report: where the platform is and what it consists of. */
  describes: string;
  cars: readonly StoredCar[];
  /** Cars that enrol when the run begins. */
  packages: readonly EnrolmentPackage[];
  /** Replaces the broker's address that enrolment gave. */
  brokerUrl: string | null;
  restUrl: string | null;
  /** `CAAS_BUSINESS_TIME` of the platform. */
  businessTime: string | null;
  owners: readonly Owner[];
  /**
   * Changes these cars as one step of a roll-out, through the platform's own entrance for that.
   * @returns the version that carries it, for those cars that got it; the others have a change under way
   */
  changeCars: ((vins: readonly string[]) => Promise<ReadonlyMap<string, number>>) | null;
  /** Makes a car known to the workshops, as a delivery does; needed once before its owner buys. */
  makeKnown: ((vin: string) => Promise<void>) | null;
  /** Ends the broker, waits, and starts it again. */
  restartBroker: ((downMs: number, how: "kill" | "stop") => Promise<void>) | null;
  /**
   * Rotates the keys that sign manifests, or revokes the one in use; cars then need the new set.
   * @returns the new set's version
   */
  changeKeys: ((how: "rotate" | "revoke") => Promise<number>) | null;
  dealership: Dealership | null;
  /** Where Prometheus finds the platform's own measures: its job, and host with port. */
  scrape: readonly { job: string; address: string }[];
  partTimes: (() => PartTimes | null) | null;
  /** Saves the cars as they are, for a later run; `null` where there is none. */
  keepCars: ((cars: readonly StoredCar[]) => Promise<void>) | null;
  /** What went wrong with the platform itself meanwhile, a sentence each. */
  failures(): readonly string[];
  stop(): Promise<void>;
};

/** What a run needs of its world. */
export type WantedWorld = {
  vehicles: number;
  seed: number;
  tls: boolean;
  /** Processes of the broker, of a platform of our own. */
  brokers: number;
  /** How many times as fast business time runs. */
  timeScale: number;
  /** Whether there are purchases. */
  withOwners: boolean;
  /** A folder that is removed after the run. */
  folder: string;
  signal: AbortSignal;
  say: (line: string) => void;
};

/** @throws Error in words for a person, when there is no such world */
export type ProvideWorld = (wanted: WantedWorld) => Promise<World>;

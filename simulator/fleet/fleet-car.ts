import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { Outcome } from "@caas/contract/report.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { type Agent, type AgentOptions, type AgentState, createAgent } from "@caas/vehicle-agent/agent.ts";
import { JournalLost } from "@caas/vehicle-agent/change/journal.ts";
import { readSlotFiles, type SlotContent } from "@caas/vehicle-agent/change/slots.ts";
import { createCertificateKeeper } from "@caas/vehicle-agent/identity/certificate-keeper.ts";
import { finishEnrolment } from "@caas/vehicle-agent/identity/enrol-again.ts";
import {
  type CarIdentity,
  endIdentity,
  type LinkCredential,
  loadIdentity,
} from "@caas/vehicle-agent/identity/identity.ts";
import type { CarTransport } from "@caas/vehicle-agent/link/transport.ts";
import type { AgentStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { enrolAll } from "./credentials.ts";
import { adapterOf, type CarProfile, failpointOf } from "./profiles.ts";

/** What a car tells its fleet. */
export type CarWitness = {
  connected(vin: Vin): void;
  disconnected(vin: Vin, reason: string): void;
  /** A version was processed; once per version, even when the car crashed meanwhile. */
  processed(vin: Vin, outcome: Outcome): void;
  /** A version was processed that had been before. */
  processedAgain(vin: Vin, outcome: Outcome): void;
  reported(vin: Vin, seq: number): void;
  refused(vin: Vin, reason: string): void;
  crashed(vin: Vin, at: string): void;
  /** It has lost what proves it, and stays down until it is enrolled again. */
  needsEnrolment(vin: Vin): void;
};

export type FleetCarOptions = Pick<AgentOptions, "clock" | "random" | "logger"> & {
  vin: Vin;
  storage: AgentStorage;
  profile: CarProfile;
  /** Called in addition to the profile's own; may end the process. */
  failpoint?: AgentOptions["failpoint"];
  /** Made once in a car's life; `credential` returns what authenticates the car on the next connection. */
  transportOf: (identity: CarIdentity, credential: () => LinkCredential) => CarTransport;
  witness: CarWitness;
  metrics: AgentOptions["metrics"] | undefined;
};

/** One car through all its agents: its disk and its fate stay, agents come and go. */
export class FleetCar {
  readonly vin: Vin;
  readonly profile: CarProfile;
  readonly storage: AgentStorage;
  readonly #options: FleetCarOptions;
  readonly #adapter: AgentOptions["adapter"];
  readonly #failpoint: NonNullable<AgentOptions["failpoint"]>;
  #transport: CarTransport | null = null;
  #credential: () => LinkCredential = () => {
    throw new Error(`${this.vin} has not been woken`);
  };
  #agent: Agent | null = null;
  /** Between `wake` and `sleep`, whether an agent is there yet or, after a crash, not. */
  #isAwake = false;
  #isUp = false;
  /** Ends the waiting of `wake`. */
  #onTried: () => void = () => undefined;
  /** Newest version whose outcome the fleet has heard of; `null` before the first boot. */
  #newest: number | null = null;

  constructor(options: FleetCarOptions) {
    this.#options = options;
    this.vin = options.vin;
    this.profile = options.profile;
    this.storage = options.storage;
    this.#adapter = adapterOf(options.profile);
    const ownFate = failpointOf(options.profile, (at) => options.witness.crashed(this.vin, at));
    this.#failpoint = (name) => {
      options.failpoint?.(name);
      ownFate(name);
    };
  }

  get isAwake(): boolean {
    return this.#isAwake;
  }

  get isConnected(): boolean {
    return this.#isUp;
  }

  /** @throws while the car sleeps or is just coming back from a power loss. */
  state(): AgentState {
    if (this.#agent === null) throw new Error(`${this.vin} has no agent now`);
    return this.#agent.state();
  }

  /** What the active slot really holds; `null` before the first configuration, or when it is damaged. */
  async configuration(): Promise<SlotContent | null> {
    const slot = await this.storage.slots.active();
    if (slot === null) return null;
    const reading = readSlotFiles(await this.storage.slots.read(slot));
    return reading.kind === "intact" ? reading.content : null;
  }

  /** Resolves when the car has connected, or failed to for the first time (it goes on trying). */
  async wake(): Promise<void> {
    if (this.#isAwake) return;
    this.#isAwake = true;
    await this.#boot();
  }

  /** A person brings another package; the car comes up with it. @throws Error when the control plane does not take it */
  async enrolAgain(given: EnrolmentPackage): Promise<void> {
    await enrolAll([{ storage: this.storage, package: given }], this.#options.random);
    if (this.#isAwake && this.#agent === null) await this.#boot();
  }

  async #boot(): Promise<void> {
    await finishEnrolment(this.storage);
    const identity = await loadIdentity(this.storage);
    if (!this.#isAwake) return;
    if (identity === null) return this.#options.witness.needsEnrolment(this.vin);
    try {
      await this.#drive(identity);
    } catch (error) {
      if (!(error instanceof JournalLost)) throw error;
      await endIdentity(this.storage);
      this.#agent = null;
      this.#options.witness.needsEnrolment(this.vin);
    }
  }

  async #drive(identity: CarIdentity): Promise<void> {
    const { clock, random, logger, metrics, transportOf } = this.#options;
    const slotsOf = this.profile.kind === "modelled" ? this.profile.slots : undefined;
    // Cars that connect by password alone have no certificate to keep.
    const certificates =
      identity.certificate === ""
        ? null
        : createCertificateKeeper({
            identity,
            storage: this.storage,
            clock,
            random,
            failpoint: this.#failpoint,
          });
    this.#credential = () => certificates?.credential ?? identity.link.present;
    // One for the car's life: after a reboot a bad link continues where it was.
    this.#transport ??= transportOf(identity, () => this.#credential());
    const agent = createAgent({
      identity,
      storage: slotsOf === undefined ? this.storage : { ...this.storage, slots: slotsOf(this.storage.slots) },
      adapter: this.#adapter,
      transport: this.#transport,
      clock,
      random,
      logger,
      failpoint: this.#failpoint,
      ...(metrics === undefined ? {} : { metrics }),
      ...(certificates === null ? {} : { certificates }),
    });
    this.#agent = agent;
    const tried = new Promise<void>((resolve) => {
      this.#onTried = resolve;
    });
    this.#listen(agent);
    await agent.start();
    this.#hearOfMissedOutcome(agent.state().outcome);
    await tried;
  }

  /** Says goodbye to the broker; the disk stays. */
  async sleep(): Promise<void> {
    const agent = this.#agent;
    this.#isAwake = false;
    this.#agent = null;
    this.#onTried();
    await agent?.stop();
    this.#goDown("asleep");
  }

  #listen(agent: Agent): void {
    const { vin } = this;
    const { witness, logger } = this.#options;
    agent.on("connected", () => {
      if (this.#agent !== agent || this.#isUp) return;
      this.#isUp = true;
      witness.connected(vin);
      this.#onTried();
    });
    agent.on("disconnected", (reason) => {
      this.#goDown(reason);
      this.#onTried();
    });
    agent.on("outcome", (outcome) => {
      if (outcome.version <= (this.#newest ?? 0)) witness.processedAgain(vin, outcome);
      else this.#hear(outcome);
    });
    agent.on("reported", (seq) => witness.reported(vin, seq));
    agent.on("refused", (reason) => witness.refused(vin, reason));
    agent.once("died", () => {
      this.#goDown("power lost");
      this.#onTried();
      if (this.#agent !== agent) return;
      this.#agent = null;
      this.#boot().catch((error: unknown) => logger.error({ err: error, vin }, "a car did not come back"));
    });
  }

  #goDown(reason: string): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#options.witness.disconnected(this.vin, reason);
  }

  #hear(outcome: Outcome): void {
    this.#newest = outcome.version;
    this.#options.witness.processed(this.vin, outcome);
  }

  /** Power was lost between the outcome's write and its event: the journal tells it now. */
  #hearOfMissedOutcome(outcome: Outcome | null): void {
    const isFirstBoot = this.#newest === null;
    this.#newest ??= outcome?.version ?? 0;
    if (!isFirstBoot && outcome !== null && outcome.version > this.#newest) this.#hear(outcome);
  }
}

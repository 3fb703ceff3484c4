import { setTimeout as delay } from "node:timers/promises";
import type { Display } from "@caas/contract/display.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";
import type { AppliedConfiguration, CarAdapter } from "@caas/vehicle-agent/adapters/adapter.ts";
import type { CarConditions } from "@caas/vehicle-agent/change/conditions.ts";
import type { ConfigurationSlots } from "@caas/vehicle-agent/change/slots.ts";
import type { AgentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import type { FailpointName } from "@caas/vehicle-agent/failpoints.ts";
import { drawLogNormal } from "../chance/draw.ts";
import type { Random } from "../chance/seeded-random.ts";
import type { CarModel } from "../fleet/profiles.ts";
import { Alternation } from "./alternation.ts";
import type { CarKind, FailureStage } from "./car-kind.ts";

/** What happens to one change in one car, drawn when the change begins. */
type Fate = {
  failsAt: FailureStage | null;
  detail: string;
  /** Where power is lost, once. */
  powerGoesAt: FailpointName | null;
};
const goodFate: Fate = { failsAt: null, detail: "", powerGoesAt: null };

/** A usual car: 80 % charged, 12.6 V on board. */
const usualChargePercent = 80;
const emptyChargePercent = 12;
const onBoardVolts = 12.6;
const tripKmh = 47;

export type ModelCarOptions = {
  kind: CarKind;
  random: Random;
  clock: AgentClock;
  /** Called with what the car's screen shows, after every change of it. */
  onShown?: (messages: readonly Display[]) => void;
};

/** The car's own systems as its kind says, for one car through all its agents. */
export function modelCar(options: ModelCarOptions): CarModel {
  const { kind, random } = options;
  const clock = kind.clock === undefined ? options.clock : skewClock(options.clock, kind.clock, random);
  const car = new ModelledCar({ ...options, clock });
  const damagesSlots = kind.failures.some(({ stage }) => ["staging", "switch", "readBack"].includes(stage));
  return {
    // Its methods are on the class: the agent asks whether there are conditions and signals, and finds them.
    adapter: car,
    clock,
    losesPowerAt: (at) => car.losesPowerAt(at),
    ...(damagesSlots ? { slots: (slots) => car.spoil(slots) } : {}),
  };
}

class ModelledCar implements CarAdapter {
  readonly signals: CarAdapter["signals"];
  readonly #kind: CarKind;
  readonly #random: Random;
  readonly #clock: AgentClock;
  readonly #onShown: ModelCarOptions["onShown"];
  readonly #driving: Alternation | null;
  readonly #lowBattery: Alternation | null;
  #fate: Fate = goodFate;
  /** What the present change makes of the car; a configuration that is put back works as it did before. */
  #planned: { version: number; ids: readonly string[] } = { version: 0, ids: [] };
  /** Ids of the entries that were found working: taking some of them away breaks nothing. */
  #working: readonly string[] = [];
  #drivenKm = 0;
  #onChange: () => void = () => undefined;

  constructor({ kind, random, clock, onShown }: ModelCarOptions) {
    this.#kind = kind;
    this.#random = random;
    this.#clock = clock;
    this.#onShown = onShown;
    const nowMs = clock.elapsedMs();
    const { driving, lowBattery } = kind;
    this.#driving =
      driving === undefined
        ? null
        : new Alternation({ share: driving.share, onMs: driving.tripSeconds * 1000, random, nowMs });
    this.#lowBattery =
      lowBattery === undefined
        ? null
        : new Alternation({ share: lowBattery.share, onMs: lowBattery.seconds * 1000, random, nowMs });
    this.signals = kind.telemetry ? async () => this.#read() : undefined;
  }

  async check({ version, entries }: AppliedConfiguration) {
    this.#planned = { version, ids: entries.map(({ id }) => id) };
    if (this.#failsAt("check")) return { kind: "rejected" as const, detail: this.#fate.detail };
    return { kind: "ok" as const };
  }

  async apply({ version }: AppliedConfiguration): Promise<void> {
    // At a boot, or when a former configuration is put back, nothing new is asked of the car.
    if (version !== this.#planned.version) return;
    const { median, sigma } = this.#kind.applyMs;
    const ms = drawLogNormal(this.#random, median, sigma);
    if (ms > 0) await delay(ms, undefined, { ref: false });
    if (this.#failsAt("apply")) throw new Error(this.#fate.detail);
  }

  async probe() {
    if (this.#failsAt("probe")) return { healthy: false as const, reason: this.#fate.detail };
    this.#working = this.#planned.ids;
    return { healthy: true as const };
  }

  async show(messages: readonly Display[]): Promise<void> {
    this.#onShown?.(messages);
  }

  async conditions(): Promise<CarConditions> {
    const nowMs = this.#clock.elapsedMs();
    const driving = this.#driving?.at(nowMs);
    const low = this.#lowBattery?.at(nowMs);
    const obstacleEndsMs = Math.max(
      driving?.isOn === true ? driving.untilMs : 0,
      low?.isOn === true ? low.untilMs : 0,
    );
    // Only a car that keeps a change waiting needs to be looked at again.
    if (obstacleEndsMs > nowMs)
      setTimeout(() => this.#onChange(), this.#clock.realDelayMs(obstacleEndsMs - nowMs)).unref();
    return {
      moving: driving?.isOn === true,
      stateOfChargePercent: low?.isOn === true ? emptyChargePercent : usualChargePercent,
      lockedBy: null,
    };
  }

  watch(onChange: () => void): () => void {
    this.#onChange = onChange;
    return () => {
      if (this.#onChange === onChange) this.#onChange = () => undefined;
    };
  }

  /** Every change passes `afterIntent` first: there its fate is drawn. */
  losesPowerAt(at: FailpointName): boolean {
    if (at === "afterIntent") this.#fate = drawFate(this.#kind, this.#random);
    if (this.#fate.powerGoesAt !== at) return false;
    this.#fate = { ...this.#fate, powerGoesAt: null };
    return true;
  }

  /** Slots whose disk fails when the change's fate says so. */
  spoil(slots: ConfigurationSlots): ConfigurationSlots {
    return {
      ...slots,
      stage: async (slot, files) => {
        // Only `check` tells what is new, and it comes before staging.
        if (this.#failsAt("staging")) throw new Error(this.#fate.detail);
        await slots.stage(slot, files);
      },
      activate: async (slot) => {
        if (this.#failsAt("switch")) {
          const { detail } = this.#fate;
          // Once: the way back is another switch.
          this.#fate = goodFate;
          throw new Error(detail);
        }
        await slots.activate(slot);
      },
      read: async (slot) => {
        const files = await slots.read(slot);
        if (!this.#failsAt("readBack") || slot !== (await slots.active())) return files;
        this.#fate = goodFate;
        return new Map(files.entries().map(([name]) => [name, ""]));
      },
    };
  }

  #failsAt(stage: FailureStage): boolean {
    return this.#fate.failsAt === stage && this.#planned.ids.some((id) => !this.#working.includes(id));
  }

  #read(): Telemetry["signals"] {
    const nowMs = this.#clock.elapsedMs();
    const moving = this.#driving?.at(nowMs).isOn === true;
    if (moving) this.#drivenKm += tripKmh / 60;
    const charge = this.#lowBattery?.at(nowMs).isOn === true ? emptyChargePercent : usualChargePercent;
    return {
      "Vehicle.TraveledDistance": Math.round(this.#drivenKm * 10) / 10,
      "Vehicle.Speed": moving ? tripKmh : 0,
      "Vehicle.IsMoving": moving,
      "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current": charge,
      "Vehicle.LowVoltageBattery.CurrentVoltage": onBoardVolts,
    };
  }
}

function drawFate({ failures, reboot }: CarKind, random: Random): Fate {
  let roll = random();
  const failure = failures.find(({ chance }) => {
    roll -= chance;
    return roll < 0;
  });
  const reboots = reboot !== undefined && random() < reboot.chance;
  const powerGoesAt = reboots ? (reboot.at[Math.floor(random() * reboot.at.length)] ?? null) : null;
  if (failure === undefined && powerGoesAt === null) return goodFate;
  return { failsAt: failure?.stage ?? null, detail: failure?.detail ?? "", powerGoesAt };
}

function skewClock(
  clock: AgentClock,
  { offsetSeconds, driftPpm }: NonNullable<CarKind["clock"]>,
  random: Random,
): AgentClock {
  const offsetMs = (2 * random() - 1) * offsetSeconds * 1000;
  const rate = 1 + ((2 * random() - 1) * driftPpm) / 1e6;
  const startedMs = clock.elapsedMs();
  return {
    now: () => new Date(clock.now().getTime() + offsetMs + (clock.elapsedMs() - startedMs) * (rate - 1)),
    elapsedMs: () => clock.elapsedMs() * rate,
    realDelayMs: (businessMs) => clock.realDelayMs(businessMs / rate),
  };
}

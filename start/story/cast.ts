import { type Client, createClient } from "@caas/contract/client/client.ts";
import * as rest from "@caas/contract/client/generated.ts";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import { openStandIn, type StandIn } from "@caas/simulator/stand-ins/client.ts";
import { installPackage } from "../car-folders.ts";
import type { Login } from "../demo-staff.ts";
import type { Platform } from "../platform.ts";
import { StartRefused } from "../ports.ts";

/** A car that its owner can sit in: `folder` is where its agent keeps state, screen and configuration. */
export type Car = { vin: string; folder: string };

/** Who acts in the story: clients of the platform's REST interface, and the partners' control entrances. */
export type Cast = {
  /** Not signed in. */
  rest: Client;
  /** Laura Ruiz of the dealership. */
  sales: Client;
  support: Client;
  /** Control entrances of the stand-ins. */
  partners: Record<"factory" | "gateway" | "vss" | "transport" | "inbox", StandIn>;
  /** Acts as the factory: installs the enrolment package in the car it is building, and the car wakes up. */
  wakeCar(given: EnrolmentPackage): Promise<Car>;
};

export async function signIn(client: Client, login: Login): Promise<Client> {
  const { token } = await rest.signIn(login, client);
  return { ...client, token };
}

/** @throws StartRefused where the partners are not our stand-ins */
export async function openCast(platform: Platform, wakeCar: Cast["wakeCar"]): Promise<Cast> {
  const { standIns } = platform;
  if (platform.whyNoStory !== null || standIns === null)
    throw new StartRefused(`The story cannot be played: ${platform.whyNoStory ?? "there are no stand-ins"}.`);
  const anybody = createClient({ baseUrl: platform.rest });
  const [sales, support] = await Promise.all([
    signIn(anybody, platform.staff.sales),
    signIn(anybody, platform.staff.support),
  ]);
  return {
    rest: anybody,
    sales,
    support,
    partners: {
      factory: openStandIn(standIns.factory),
      gateway: openStandIn(standIns.gateway),
      vss: openStandIn(standIns.vss),
      transport: openStandIn(standIns.transport),
      inbox: openStandIn(standIns.inbox),
    },
    wakeCar,
  };
}

/** A car in a process of its own (`caas-agent`). `port` is where its screen and metrics are served, 0: any. */
export function wakeInOwnProcess(
  platform: Platform,
  car: { name: string; port: number; probeCommand?: string },
): Cast["wakeCar"] {
  return async (given) => {
    const folder = installPackage(platform.storyCarsFolder, given);
    await platform.startCar({ ...car, folder });
    return { vin: given.vin, folder };
  };
}

/** A car among the many in one process, which finds it by its folder. */
export function wakeAmongDemoCars(platform: Platform): Cast["wakeCar"] {
  return async (given) => ({ vin: given.vin, folder: installPackage(platform.demoCarsFolder, given) });
}

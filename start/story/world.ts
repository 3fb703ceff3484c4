import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { installPackage } from "../car-folders.ts";
import type { Login } from "../demo-staff.ts";
import type { Platform } from "../platform.ts";
import { StartRefused } from "../ports.ts";
import { createRestClient, type RestClient } from "../rest/rest-client.ts";

/** A car that its owner can sit in: `folder` is where its agent keeps state, screen and configuration. */
export type Car = { vin: string; folder: string };

/** Where the story plays: the platform's REST interface, and the people of the partners around it. */
export type World = {
  /** Not signed in. */
  rest: RestClient;
  /** Laura Ruiz of the dealership. */
  sales: RestClient;
  support: RestClient;
  /** Control entrances of the stand-ins. */
  partners: Record<"factory" | "gateway" | "vss" | "transport" | "inbox", RestClient>;
  /** The factory's hand: installs the enrolment package in the car it is building, and the car wakes up. */
  wakeCar(given: EnrolmentPackage): Promise<Car>;
};

export async function signIn(rest: RestClient, login: Login): Promise<RestClient> {
  const { token } = await rest.post("/api/sign-in", login, z.object({ token: z.string() }));
  return rest.withToken(token);
}

/** @throws StartRefused where the partners are not our stand-ins */
export async function openWorld(platform: Platform, wakeCar: World["wakeCar"]): Promise<World> {
  const { standIns } = platform;
  if (platform.whyNoStory !== null || standIns === null)
    throw new StartRefused(`The story cannot be played: ${platform.whyNoStory ?? "there are no stand-ins"}.`);
  const rest = createRestClient(platform.rest);
  const [sales, support] = await Promise.all([
    signIn(rest, platform.staff.sales),
    signIn(rest, platform.staff.support),
  ]);
  return {
    rest,
    sales,
    support,
    partners: {
      factory: createRestClient(standIns.factory),
      gateway: createRestClient(standIns.gateway),
      vss: createRestClient(standIns.vss),
      transport: createRestClient(standIns.transport),
      inbox: createRestClient(standIns.inbox),
    },
    wakeCar,
  };
}

/** A car in a process of its own (`caas-agent`). `port` is where its screen and metrics are served, 0: any. */
export function wakeInOwnProcess(
  platform: Platform,
  car: { name: string; port: number; probeCommand?: string },
): World["wakeCar"] {
  return async (given) => {
    const folder = installPackage(platform.storyCarsFolder, given);
    await platform.startCar({ ...car, folder });
    return { vin: given.vin, folder };
  };
}

/** A car among the many in one process, which finds it by its folder. */
export function wakeAmongDemoCars(platform: Platform): World["wakeCar"] {
  return async (given) => ({ vin: given.vin, folder: installPackage(platform.demoCarsFolder, given) });
}

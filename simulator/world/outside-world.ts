import { readFileSync } from "node:fs";
import { brokerAddressesSchema } from "@caas/contract/broker-addresses.ts";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import { CannotSimulate } from "../cannot-simulate.ts";
import { readFleetFile, writeFleetFile } from "../fleet/fleet-file.ts";
import type { Dealership, Owner, ProvideWorld } from "../run/world.ts";

// A platform that others run: reached by address, with cars that are written down in files.

export type OutsideOptions = {
  broker?: string;
  rest?: string;
  fleet?: string;
  packages?: string;
  owners?: string;
  staff?: string;
  factory?: string;
  inbox?: string;
};

const ownerSchema = z.strictObject({
  vin: z.string(),
  vehicleId: z.string(),
  username: z.string(),
  password: z.string(),
});

const restSchema = z.url({ protocol: /^https?$/ });

/** `null` when nothing of the kind was asked for. @throws Error naming the option or file, and its line */
export function provideOutsideWorld(options: OutsideOptions): ProvideWorld | null {
  const { broker, fleet, packages, rest } = options;
  if (broker === undefined && fleet === undefined && packages === undefined && rest === undefined)
    return null;
  if (broker !== undefined && !brokerAddressesSchema.safeParse(broker).success)
    throw new CannotSimulate(
      `--broker must be an mqtt:// or mqtts:// address, or several with commas, not ${broker}`,
    );
  if (rest !== undefined && !restSchema.safeParse(rest).success)
    throw new CannotSimulate(`--rest must be an http:// or https:// address, not ${rest}`);
  if (packages !== undefined && fleet === undefined)
    throw new CannotSimulate(
      "--packages needs --fleet FILE, where the enrolled cars are kept: a token enrols one car once",
    );
  if (fleet === undefined)
    throw new CannotSimulate(
      "cars are missing: name them with --fleet FILE, or --packages FILE as well to enrol them",
    );
  return async ({ vehicles, brokers, say }) => {
    if (brokers > 1)
      throw new CannotSimulate("--brokers is for a platform of our own, and --broker names another's");
    const stored = await readFleetFile(fleet).catch((error: Error) => {
      throw new CannotSimulate(error.message);
    });
    const enrolled = stored.slice(0, vehicles);
    const others = stored.slice(vehicles);
    const known = new Set<string>(stored.map(({ vin }) => vin));
    const given = packages === undefined ? [] : readLines(packages, enrolmentPackageSchema);
    const enrolling = given.filter(({ vin }) => !known.has(vin)).slice(0, vehicles - enrolled.length);
    for (const { vin } of enrolling) known.add(vin);
    const cars = enrolled.length + enrolling.length;
    // Where cars are sold, the first one may be bought during the run.
    if (cars === 0 && readDealership(options) === null)
      throw new CannotSimulate(
        packages === undefined
          ? `there is no car in ${fleet}; --packages FILE enrols some and keeps them there`
          : `there is no car in ${fleet}, nor one to enrol in ${packages}`,
      );
    if (cars < vehicles) say(`There are ${cars} cars in the files, and ${vehicles} were asked for.`);
    const owners: Owner[] = options.owners === undefined ? [] : readLines(options.owners, ownerSchema);
    return {
      describes: `a platform run by others, broker ${broker ?? "as enrolled"}`,
      cars: enrolled,
      packages: enrolling,
      brokerUrl: broker ?? null,
      restUrl: rest ?? null,
      businessTime: process.env.CAAS_BUSINESS_TIME || null,
      owners: owners.filter(({ vin }) => known.has(vin)),
      changeCars: null,
      makeKnown: null,
      restartBroker: null,
      changeKeys: null,
      dealership: readDealership(options),
      scrape: [],
      partTimes: null,
      // A car that has reported since must not come back with an older journal: its reports would count as old.
      keepCars: (changed) => writeFleetFile(fleet, [...changed, ...others]),
      failures: () => [],
      stop: async () => undefined,
    };
  };
}

function readDealership({ staff, factory, inbox }: OutsideOptions): Dealership | null {
  const password = process.env.SIMULATE_STAFF_PASSWORD;
  if (staff === undefined || factory === undefined || inbox === undefined || !password) return null;
  return { username: staff, password, factoryUrl: factory, inboxUrl: inbox };
}

function readLines<T extends z.ZodType>(path: string, schema: T): z.output<T>[] {
  return readText(path)
    .split("\n")
    .flatMap((line, index) => {
      if (line.trim() === "") return [];
      const parsed = schema.safeParse(parseJson(line));
      if (parsed.success) return [parsed.data];
      const [issue] = parsed.error.issues;
      throw new CannotSimulate(`${path}:${index + 1}: ${issue?.path.join(".") || "line"}: ${issue?.message}`);
    });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CannotSimulate(`cannot be read: ${error instanceof Error ? error.message : path}`);
  }
}

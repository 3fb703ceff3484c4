import type { Db } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import type { Configuration } from "../../store/schema.ts";

// The catalogue of the demonstration. Prices are euro cents, taxes included.

/** `configuration` becomes the car's `plataformaBase`. */
function plan(
  code: string,
  name: string,
  price_cents: number,
  reservation_cents: number,
  maintenance_months: number,
  maintenance_km: number,
  configuration: Configuration,
) {
  const row = { code, name, price_cents, reservation_cents, maintenance_months, maintenance_km };
  return { ...row, configuration: JSON.stringify(configuration) };
}

function option(code: string, name: string, price_cents: number, configuration: Configuration) {
  return { code, name, price_cents, configuration: JSON.stringify(configuration) };
}

/** `needs`: whether the car must be maintained for this service. */
function service(
  code: string,
  name: string,
  description: string,
  price_cents: number,
  needs: "maintained" | "anyCar",
  configuration: Configuration,
) {
  const row = { code, name, description, price_cents, currency: "EUR", duration_days: 30 };
  return {
    ...row,
    depends_on_maintenance: needs === "maintained",
    configuration: JSON.stringify(configuration),
  };
}

// biome-ignore format: one row a line
const demoPlans = [
  //    code     name      price      reservation  every months and km
  plan("ciudad", "Ciudad", 2_990_000,  50_000,     12, 15_000, { driveModes: ["eco", "comfort"], maxPowerKw: 100, chargingKw: 50 }),
  plan("viaje",  "Viaje",  3_890_000,  80_000,     12, 20_000, { driveModes: ["eco", "comfort", "tour"], maxPowerKw: 150, chargingKw: 120 }),
  plan("sierra", "Sierra", 4_650_000, 100_000,     12, 15_000, { driveModes: ["eco", "comfort", "trail"], maxPowerKw: 180, chargingKw: 150 }),
];

// biome-ignore format: one row a line
const demoOptions = [
  option("winterPack",   "Winter pack",    89_000, { steeringWheelHeating: true, windscreenHeating: true }),
  option("premiumSound", "Premium sound", 120_000, { speakers: 12, equaliser: "concert" }),
  option("towHitch",     "Tow hitch",      75_000, { trailerStability: true, maxTrailerKg: 1_500 }),
  option("panoramaRoof", "Panorama roof", 140_000, { roofShade: "electric" }),
];

// biome-ignore format: one row a line
const demoServices = [
  service("heatedSeats",   "Heated seats",   "Warms the front seats in three levels.",    1_499, "maintained", { seats: ["driver", "passenger"], levels: 3 }),
  service("highwayAssist", "Highway assist", "Keeps lane and distance on motorways.",     3_999, "maintained", { laneCentering: true, adaptiveCruise: true, maxSpeedKmh: 130 }),
  service("sportMode",     "Sport mode",     "More power and a firmer chassis.",          2_999, "maintained", { extraPowerKw: 40, chassis: "firm" }),
  service("parkingCamera", "Parking camera", "Shows the car from above while parking.",     999, "maintained", { view: "surround", guideLines: true }),
  service("ambientLight",  "Ambient light",  "Sixteen colours for the cabin.",              499, "anyCar",     { colours: 16, zones: 4 }),
  service("liveTraffic",   "Live traffic",   "Routes around jams as they form.",            599, "anyCar",     { refreshSeconds: 60 }),
];

/** Puts the demonstration catalogue into an empty database; rows that exist already stay as they are. */
export async function seedCatalog(db: Db): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto("catalog_plans")
      .values(demoPlans)
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
    await tx
      .insertInto("catalog_options")
      .values(demoOptions)
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
    await tx
      .insertInto("catalog_services")
      .values(demoServices.map((row) => ({ id: newId(), ...row })))
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
  });
}

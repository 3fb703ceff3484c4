import type { Configuration } from "../../store/schema.ts";

// What the demonstration sells. Prices are cents of a euro, taxes included.

type DemoPlan = {
  code: string;
  name: string;
  priceCents: number;
  reservationCents: number;
  /** Becomes the car's `plataformaBase`. */
  configuration: Configuration;
  maintenanceMonths: number;
  maintenanceKm: number;
};

export const demoPlans: readonly DemoPlan[] = [
  {
    code: "ciudad",
    name: "Ciudad",
    priceCents: 2_990_000,
    reservationCents: 50_000,
    configuration: { driveModes: ["eco", "comfort"], maxPowerKw: 100, chargingKw: 50 },
    maintenanceMonths: 12,
    maintenanceKm: 15_000,
  },
  {
    code: "viaje",
    name: "Viaje",
    priceCents: 3_890_000,
    reservationCents: 80_000,
    configuration: { driveModes: ["eco", "comfort", "tour"], maxPowerKw: 150, chargingKw: 120 },
    maintenanceMonths: 12,
    maintenanceKm: 20_000,
  },
  {
    code: "sierra",
    name: "Sierra",
    priceCents: 4_650_000,
    reservationCents: 100_000,
    configuration: { driveModes: ["eco", "comfort", "trail"], maxPowerKw: 180, chargingKw: 150 },
    maintenanceMonths: 12,
    maintenanceKm: 15_000,
  },
];

type DemoOption = { code: string; name: string; priceCents: number; configuration: Configuration };

export const demoOptions: readonly DemoOption[] = [
  {
    code: "winterPack",
    name: "Winter pack",
    priceCents: 89_000,
    configuration: { steeringWheelHeating: true, windscreenHeating: true },
  },
  {
    code: "premiumSound",
    name: "Premium sound",
    priceCents: 120_000,
    configuration: { speakers: 12, equaliser: "concert" },
  },
  {
    code: "towHitch",
    name: "Tow hitch",
    priceCents: 75_000,
    configuration: { trailerStability: true, maxTrailerKg: 1_500 },
  },
  {
    code: "panoramaRoof",
    name: "Panorama roof",
    priceCents: 140_000,
    configuration: { roofShade: "electric" },
  },
];

type DemoService = {
  code: string;
  name: string;
  description: string;
  priceCents: number;
  durationDays: number;
  dependsOnMaintenance: boolean;
  configuration: Configuration;
};

export const demoServices: readonly DemoService[] = [
  {
    code: "heatedSeats",
    name: "Heated seats",
    description: "Warms the front seats in three levels.",
    priceCents: 1_499,
    durationDays: 30,
    dependsOnMaintenance: true,
    configuration: { seats: ["driver", "passenger"], levels: 3 },
  },
  {
    code: "highwayAssist",
    name: "Highway assist",
    description: "Keeps lane and distance on motorways.",
    priceCents: 3_999,
    durationDays: 30,
    dependsOnMaintenance: true,
    configuration: { laneCentering: true, adaptiveCruise: true, maxSpeedKmh: 130 },
  },
  {
    code: "sportMode",
    name: "Sport mode",
    description: "More power and a firmer chassis.",
    priceCents: 2_999,
    durationDays: 30,
    dependsOnMaintenance: true,
    configuration: { extraPowerKw: 40, chassis: "firm" },
  },
  {
    code: "parkingCamera",
    name: "Parking camera",
    description: "Shows the car from above while parking.",
    priceCents: 999,
    durationDays: 30,
    dependsOnMaintenance: true,
    configuration: { view: "surround", guideLines: true },
  },
  {
    code: "ambientLight",
    name: "Ambient light",
    description: "Sixteen colours for the cabin.",
    priceCents: 499,
    durationDays: 30,
    dependsOnMaintenance: false,
    configuration: { colours: 16, zones: 4 },
  },
  {
    code: "liveTraffic",
    name: "Live traffic",
    description: "Routes around jams as they form.",
    priceCents: 599,
    durationDays: 30,
    dependsOnMaintenance: false,
    configuration: { refreshSeconds: 60 },
  },
];

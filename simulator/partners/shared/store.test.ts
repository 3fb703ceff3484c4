import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import { openStore } from "./store.ts";

const carSchema = z.object({ plate: z.string(), colours: z.array(z.string()) });
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function openCars(path: string) {
  const store = openStore(path);
  return { store, cars: store.collection("cars", carSchema, { colour: (car) => car.colours }) };
}

test("a document is found by its id and by every value of a lookup, and no longer by a value it lost", () => {
  const { store, cars } = openCars(":memory:");
  cars.put("1", { plate: "1", colours: ["red", "blue"] });
  cars.put("2", { plate: "2", colours: ["blue"] });
  cars.put("1", { plate: "1", colours: ["green"] });
  expect(cars.get("1")).toEqual({ plate: "1", colours: ["green"] });
  expect(cars.get("3")).toBeUndefined();
  expect(cars.find("colour", "blue").map((car) => car.plate)).toEqual(["2"]);
  expect(cars.find("colour", "red")).toEqual([]);
  expect(cars.list().map((car) => car.plate)).toEqual(["1", "2"]);
  store.close();
});

test("a transaction that throws leaves nothing behind, not even in a nested one", () => {
  const { store, cars } = openCars(":memory:");
  expect(() =>
    store.transaction(() => {
      store.transaction(() => cars.put("1", { plate: "1", colours: ["red"] }));
      throw new Error("the power went");
    }),
  ).toThrow("the power went");
  expect(cars.list()).toEqual([]);
  expect(cars.find("colour", "red")).toEqual([]);
  store.close();
});

test("documents and counters outlive a restart", () => {
  const folder = mkdtempSync(join(tmpdir(), "partner-store-"));
  folders.push(folder);
  const path = join(folder, "deeper", "cars.db");
  const first = openCars(path);
  first.cars.put("1", { plate: "1", colours: [] });
  expect(first.store.nextNumber("cars")).toBe(1);
  first.store.close();
  const second = openCars(path);
  expect(second.cars.list()).toEqual([{ plate: "1", colours: [] }]);
  expect(second.store.nextNumber("cars")).toBe(2);
  expect(second.store.dump()).toEqual({ cars: [{ plate: "1", colours: [] }] });
  second.store.close();
});

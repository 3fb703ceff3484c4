import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
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

test("writes of one turn of the event loop are on disk together, and one that throws takes back only its own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partner-store-"));
  folders.push(folder);
  const path = join(folder, "cars.db");
  const { store, cars } = openCars(path);
  const other = openCars(path);
  cars.put("1", { plate: "1", colours: ["red"] });
  expect(() =>
    store.transaction(() => {
      cars.put("1", { plate: "1", colours: ["blue"] });
      cars.put("2", { plate: "2", colours: ["blue"] });
      throw new Error("refused");
    }),
  ).toThrow("refused");
  cars.put("3", { plate: "3", colours: ["red"] });
  expect(cars.find("colour", "red").map(({ plate }) => plate)).toEqual(["1", "3"]);
  expect(other.cars.list()).toEqual([]);
  await store.committed();
  expect(other.cars.list().map(({ plate }) => plate)).toEqual(["1", "3"]);
  expect(other.cars.find("colour", "blue")).toEqual([]);
  await store.committed();
  other.store.close();
  store.close();
});

test("a caller waiting for a write that failed is told so, and nothing of it is there; later writes are", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partner-store-"));
  folders.push(folder);
  const path = join(folder, "cars.db");
  const { store, cars } = openCars(path);
  // A constraint that is looked at by the commit alone.
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA foreign_keys = ON;
    CREATE TABLE owners (id TEXT PRIMARY KEY);
    CREATE TABLE parked (owner TEXT REFERENCES owners (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER park AFTER INSERT ON documents WHEN new.id = 'nobody'
      BEGIN INSERT INTO parked VALUES ('nobody'); END;`);
  database.close();
  cars.put("nobody", { plate: "nobody", colours: [] });
  await expect(store.committed()).rejects.toThrow("FOREIGN KEY constraint failed");
  expect(cars.list()).toEqual([]);
  cars.put("1", { plate: "1", colours: [] });
  await store.committed();
  expect(cars.list().map(({ plate }) => plate)).toEqual(["1"]);
  store.close();
});

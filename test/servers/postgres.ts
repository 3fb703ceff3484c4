import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { startTemporaryPostgres } from "../../start/postgres/embedded-postgres.ts";
import { createDatabaseFrom, dropDatabase, uniqueDatabaseName } from "./database-commands.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A connection with the right to create databases. */
    databaseServerUrl: string;
    /** The database every test database is copied from: migrated once, when the run starts. */
    databaseTemplate: string;
  }
}

type Server = { url: string; stop: () => Promise<void> };

/** vitest's global set-up: one PostgreSQL server for the whole run. Returns what ends it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await provideServer();
  try {
    const template = uniqueDatabaseName("template");
    const templateUrl = await createDatabaseFrom(server.url, template, "template0");
    await migrateTemplate(templateUrl);
    project.provide("databaseServerUrl", server.url);
    project.provide("databaseTemplate", template);
    return async () => {
      await dropDatabase(server.url, template);
      await server.stop();
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** `TEST_DATABASE_URL`, else a container, else the embedded server: whatever this machine has. */
async function provideServer(): Promise<Server> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== "") {
    console.log("PostgreSQL for the tests: the server of TEST_DATABASE_URL");
    return { url: given, stop: async () => undefined };
  }
  const container = await startContainer();
  if (container !== undefined) {
    console.log("PostgreSQL for the tests: a container");
    return container;
  }
  const server = await startTemporaryPostgres();
  console.log("PostgreSQL for the tests: the embedded server, in a temporary folder");
  return server;
}

/** @returns undefined where no container engine answers, or the image cannot be had. */
async function startContainer(): Promise<Server | undefined> {
  if (!hasSignOfEngine()) return undefined;
  const { getContainerRuntimeClient } = await import("testcontainers");
  try {
    await getContainerRuntimeClient();
  } catch {
    return undefined;
  }
  const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
  try {
    const flags = ["fsync", "synchronous_commit", "full_page_writes"].flatMap((name) => [
      "-c",
      `${name}=off`,
    ]);
    const container = await new PostgreSqlContainer("postgres:18-alpine")
      .withCommand(["postgres", ...flags])
      .start();
    return {
      url: container.getConnectionUri(),
      stop: async () => {
        await container.stop();
      },
    };
  } catch (error) {
    console.log(`A container engine answers, but PostgreSQL does not start in it: ${String(error)}`);
    return undefined;
  }
}

/** Loading testcontainers takes half a second; without any of these it has nowhere to look. */
function hasSignOfEngine(): boolean {
  if (process.env.DOCKER_HOST !== undefined) return true;
  const runtimeFolder = process.env.XDG_RUNTIME_DIR ?? "/run/user/0";
  return [
    "/var/run/docker.sock",
    join(runtimeFolder, "docker.sock"),
    join(runtimeFolder, "podman/podman.sock"),
    join(homedir(), ".docker/run/docker.sock"),
    join(homedir(), ".colima"),
    join(homedir(), ".testcontainers.properties"),
  ].some((path) => existsSync(path));
}

/** The control plane's own migrations, where that part is present: the folder may be tested without it. */
async function migrateTemplate(url: string): Promise<void> {
  const migrations = new URL("../../control-plane/store/migrate.ts", import.meta.url);
  if (!existsSync(migrations)) return;
  const store: unknown = await import(fileURLToPath(migrations));
  if (typeof store !== "object" || store === null || !("migrateToLatest" in store)) return;
  if (typeof store.migrateToLatest === "function") await store.migrateToLatest(url);
}

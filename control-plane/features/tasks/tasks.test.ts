import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import type { NewTask } from "../../rules/task-table.ts";
import type { Person } from "../../testing/fixtures/people.ts";
import { paid, startTestSales, type TestSales, type WrittenSale } from "../../testing/fixtures/sales.ts";

let platform: TestSales;
let car: WrittenSale;

beforeAll(async () => {
  platform = await startTestSales({ name: "tasks", standIns: [] });
});
beforeEach(async () => {
  await platform.db.deleteFrom("tasks").execute();
  car = await platform.writeSale(paid);
});
afterAll(() => platform?.close());

const listSchema = z.object({
  tasks: z.array(z.looseObject({ id: z.string(), title: z.string(), status: z.string() })),
});

const taskOf = {
  dealership: (reference: string): NewTask => ({ kind: "transportRefused", facts: { reference } }),
  support: (service: string): NewTask => ({ kind: "activationFailed", facts: { service } }),
};

async function need(team: keyof typeof taskOf, about: string): Promise<string> {
  await platform.inTransaction((tx) =>
    platform.context.publish(tx, "taskNeeded", [
      { ...taskOf[team](about), detail: { reason: "for a test" }, subject: { vehicleId: car.vehicleId } },
    ]),
  );
  const { id } = await platform.db
    .selectFrom("tasks")
    .where("title", "like", `%${about}%`)
    .select("id")
    .executeTakeFirstOrThrow();
  return id;
}

const titles = async (person: Person, search = "") =>
  listSchema
    .parse((await person.get(`/api/tasks${search}`)).body)
    .tasks.map((task) => `${task.title} ${task.status}`);

const resolve = (person: Person, taskId: string, body: object = { resolution: "done by telephone" }) =>
  person.post(`/api/tasks/${taskId}/resolution`, body);

describe("tasks", () => {
  test("each team sees its own, a dealership only that of its own sales, an administrator all", async () => {
    await need("dealership", "TRA-1");
    await need("support", "Heated seats");
    const sales = "The carrier refused transport TRA-1 open";
    const support = "Heated seats could not be activated open";
    expect(await titles(platform.staff.sales)).toEqual([sales]);
    expect(await titles(platform.staff.otherSales)).toEqual([]);
    expect(await titles(platform.staff.support)).toEqual([support]);
    expect(await titles(platform.staff.admin)).toEqual([sales, support]);
    const customer = await platform.customerOf(car);
    expect((await customer.get("/api/tasks")).status).toBe(403);
  });

  test("the list is narrowed down by team and status, and never shows another team's [N12]", async () => {
    await need("dealership", "TRA-1");
    const settled = await need("support", "Heated seats");
    await need("support", "Fast charging");
    await resolve(platform.staff.support, settled);
    const sales = "The carrier refused transport TRA-1 open";
    const [open, resolved] = [
      "Fast charging could not be activated open",
      "Heated seats could not be activated resolved",
    ];
    const { admin, support } = platform.staff;
    expect(await titles(admin, "?team=support")).toEqual([open, resolved]);
    expect(await titles(admin, "?team=dealership")).toEqual([sales]);
    expect(await titles(admin, "?status=resolved")).toEqual([resolved]);
    expect(await titles(support, "?team=support&status=open")).toEqual([open]);
    expect(await titles(support, "?team=dealership")).toEqual([]);
    expect(await titles(platform.staff.sales, "?team=support")).toEqual([]);
    for (const search of ["?team=kitchen", "?status=late", "?colour=red"])
      expect((await admin.get(`/api/tasks${search}`)).status).toBe(400);
  });

  test("a task about a vehicle leads to its sale", async () => {
    await need("dealership", "TRA-1");
    const { body } = await platform.staff.sales.get("/api/tasks");
    expect(listSchema.parse(body).tasks).toEqual([
      expect.objectContaining({
        expedienteId: car.expedienteId,
        vehicleId: car.vehicleId,
        kind: "transportRefused",
        team: "dealership",
        detail: { reason: "for a test" },
      }),
    ]);
  });

  test("staff resolve it with words; it moves behind the open ones and the step names them", async () => {
    const first = await need("dealership", "TRA-1");
    await need("dealership", "TRA-2");
    expect(await resolve(platform.staff.sales, first)).toMatchObject({
      status: 200,
      body: { status: "resolved" },
    });
    expect(await titles(platform.staff.sales)).toEqual([
      "The carrier refused transport TRA-2 open",
      "The carrier refused transport TRA-1 resolved",
    ]);
    const step = await platform.db
      .selectFrom("steps")
      .where("event", "=", "taskResolved")
      .where("vehicle_id", "=", car.vehicleId)
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(step).toMatchObject({ actor_id: platform.staff.sales.userId, automatic: false });
  });

  test("a resolved task is not resolved again", async () => {
    const id = await need("dealership", "TRA-1");
    await resolve(platform.staff.sales, id);
    const again = await resolve(platform.staff.sales, id, { resolution: "otherwise" });
    expect(again.status).toBe(409);
    const task = await platform.db
      .selectFrom("tasks")
      .where("id", "=", id)
      .select("resolution")
      .executeTakeFirstOrThrow();
    expect(task.resolution).toBe("done by telephone");
  });

  test.each([
    ["another dealership", "dealership", "otherSales"],
    ["the sale's dealership for support's", "support", "sales"],
    ["support for the dealership's", "dealership", "support"],
  ] as const)("%s cannot resolve it", async (_who, team, person) => {
    const id = await need(team, "not yours");
    expect((await resolve(platform.staff[person], id)).status).toBe(404);
    expect(await titles(platform.staff.admin)).toEqual([expect.stringMatching(/not yours.* open$/)]);
  });

  test.each([[{}], [{ resolution: " " }], [{ resolution: "done", status: "open" }]])(
    "%j resolves nothing",
    async (body) => {
      const id = await need("support", "Heated seats");
      expect((await resolve(platform.staff.support, id, body)).status).toBe(400);
      expect(await titles(platform.staff.support)).toEqual(["Heated seats could not be activated open"]);
    },
  );
});

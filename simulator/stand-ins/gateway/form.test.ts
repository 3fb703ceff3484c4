import { expect, test } from "vitest";
import { decodeForm } from "./form.ts";

test.each([
  ["amount=100&currency=eur", { amount: "100", currency: "eur" }],
  ["metadata[reference]=a%26b&metadata[x]=", { metadata: { reference: "a&b", x: "" } }],
  ["expand[0]=latest_charge&expand[1]=customer", { expand: ["latest_charge", "customer"] }],
  ["expand[]=latest_charge&expand[]=customer", { expand: ["latest_charge", "customer"] }],
  ["a[b][0][c]=1", { a: { b: [{ c: "1" }] } }],
  ["", {}],
  ["a[b=1", { "a[b": "1" }],
  ["a[1][2][3][4][5][6]=1", { "a[1][2][3][4][5][6]": "1" }],
])("a form %s reads as %j", (form, value) => {
  expect(decodeForm(form)).toEqual(value);
});

test("a form cannot reach the prototype of all objects", () => {
  const form = decodeForm("__proto__[isAdmin]=1&constructor[prototype][isAdmin]=1");
  expect("isAdmin" in {}).toBe(false);
  expect(Object.hasOwn(form, "__proto__")).toBe(true);
});

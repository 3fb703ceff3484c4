import { displaySchema } from "@caas/contract/display.ts";
import { expect, test } from "vitest";
import { renderDisplay } from "./display-page.ts";

const vin = "WCAZZZ1B0TA000001";
const shown = (content: object) =>
  displaySchema.parse({
    vin,
    id: "0190b4c2-7d4e-7c1a-9a51-000000000001",
    content,
    issuedAt: "2026-11-28T21:00:00Z",
    expiresAt: "2026-11-28T21:10:00Z",
  });

test("the car's screen shows the linking code and notices, as text and never as markup [N19]", () => {
  const page = renderDisplay(vin, [
    shown({ kind: "linkingCode", code: "123456" }),
    shown({ kind: "notice", title: "<b>Heated seats", body: 'On & "warm"' }),
  ]);
  expect(page).toContain('<p class="code">123456</p>');
  expect(page).toContain("&lt;b&gt;Heated seats");
  expect(page).toContain("On &amp; &quot;warm&quot;");
  expect(page).not.toMatch(/<b>|<script|src=/);
  expect(page.indexOf("123456")).toBeLessThan(page.indexOf("Heated"));
});

test("a screen with nothing on it says so, and looks again by itself [N19]", () => {
  const page = renderDisplay(vin, []);
  expect(page).toContain("Nothing to show");
  expect(page).toContain('http-equiv="refresh"');
});

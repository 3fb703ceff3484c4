import { expect, test } from "vitest";
import { judgePassword } from "./password-policy.ts";
import { generatePassword } from "./passwords.ts";

const about = ["lucia.ferrer@customer.example", "Lucía Ferrer"];

test.each([
  ["short", "11 letters."],
  ["common", "password1234"],
  ["common, with a substitution", "p4ssw0rd1234"],
  ["a row of keys", "qwertyuiopasdf"],
  ["digits in order", "123456789012"],
  ["one character", "aaaaaaaaaaaaaaaa"],
  ["a word twice", "letmeinletmein"],
  ["the user name", "lucia.ferrer@customer.example"],
  ["the person's name and a year", "luciaferrer2026"],
  ["of the form of a generated one", generatePassword()],
  ["longer than 128 characters", "correct horse battery staple ".repeat(5)],
])("a password that is %s is refused [R20]", async (_what, password) => {
  expect(await judgePassword(password, about)).toMatch(/^(must|is too easy)/);
});

test.each(["una contraseña larga", "correct horse battery staple", "Tq7#vLm2pXw9", "паролем будут слова"])(
  "%s is taken [R20]",
  async (password) => {
    expect(await judgePassword(password, about)).toBeNull();
  },
);

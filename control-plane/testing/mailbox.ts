import type { CredentialsMail } from "../features/accounts/issue-credentials.ts";

type Letter = Parameters<CredentialsMail>[0];

/** Takes the credentials' mails of a test; `fail` refuses the next ones, as a mail server that is down would. */
export function createMailbox() {
  const letters: Letter[] = [];
  let failures = 0;
  const send: CredentialsMail = async (letter) => {
    if (failures > 0) {
      failures -= 1;
      throw new Error("the mail server is down");
    }
    letters.push(letter);
    return { providerId: `<${letters.length}@mail.example>` };
  };
  return {
    send,
    letters,
    to: (address: string) => letters.filter((letter) => letter.to === address),
    fail(count: number) {
      failures = count;
    },
  };
}

export type Mailbox = ReturnType<typeof createMailbox>;

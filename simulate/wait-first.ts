import { setTimeout as delay } from "node:timers/promises";

// Loaded before a part that is started again: the part stays away as long as the rehearsal wants it to.
await delay(Number(process.env.WAIT_FIRST_MS ?? 0));

import * as z from "zod";
import { countSchema } from "./signed-values.ts";

/** Retained, and the car's will when it goes without a word. An older `connection` than one seen has no effect. */
export const presenceSchema = z.strictObject({
  state: z.enum(["online", "offline"]),
  /** Counts the car's connections; persisted, so it rises across reboots. */
  connection: countSchema(1),
});

export type Presence = z.infer<typeof presenceSchema>;

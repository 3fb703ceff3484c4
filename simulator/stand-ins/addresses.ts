import * as z from "zod";

const url = z.string();

/** Base URLs without a slash at the end; `smtp` as `smtp://host:port`. */
export const addressesSchema = z.object({
  factory: url,
  gateway: url,
  vss: url,
  authority: url,
  transport: url,
  inbox: url,
  smtp: url,
});
export type StandInAddresses = z.infer<typeof addressesSchema>;

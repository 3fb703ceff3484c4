import type { Principal } from "../../http/principal.ts";

/** The team whose tasks a person sees; `null`: every team's. */
export function teamOf(principal: Principal): "dealership" | "support" | null {
  switch (principal.role) {
    case "support":
      return "support";
    case "sales":
      return "dealership";
    case "admin":
      return null;
    case "customer":
      throw new Error("the access table keeps customers away from tasks");
  }
}

/** What closed a position by force, in words. */
export const CAUSES = { LIQUIDATION: "Liquidation", TAKE_OVER: "Taken over by the insurance fund", ADL: "Auto-deleveraging" };

// Places, reads and cancels an order with the types of the document: node built/trade.js URL MARKET. Prints what it saw as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./perpetua.js";

type Schemas = components["schemas"];

const [baseUrl, marketId] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl });

function answered<T>(result: { data?: T; error?: Schemas["ErrorView"]; response: Response }): T {
  if (result.data === undefined) throw new Error(`${result.response.status} ${result.error?.error.code}`);
  return result.data;
}

function waitFor(response: Response): { "X-Wait-For-Command": string } {
  return { "X-Wait-For-Command": response.headers.get("X-Command-Id") ?? "" };
}

const credentials: Schemas["Credentials"] = { email: `ts-${process.pid}-${Date.now()}@example.org`, password: "correct horse" };
answered(await client.POST("/auth/register", { body: credentials }));
const { token } = answered(await client.POST("/auth/login", { body: credentials }));
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
  },
});
answered(await client.POST("/deposits", { body: { asset: "USDC", amount: "10000" } }));

const asked: Schemas["OrderRequest"] = { marketId, side: "BUY", type: "LIMIT", quantity: "0.5", price: "60000", leverage: 10 };
const placed = await client.POST("/orders", { body: asked });
const { orderId } = answered(placed);
const path = { orderId };
const open = answered(await client.GET("/orders/{orderId}", { params: { path, header: waitFor(placed.response) } }));
const page = answered(await client.GET("/orders", { params: { query: { limit: 10, status: ["LIVE"] } } }));

const cancelled = await client.DELETE("/orders/{orderId}", { params: { path } });
const taken = answered(cancelled);
const ended = answered(await client.GET("/orders/{orderId}", { params: { path, header: waitFor(cancelled.response) } }));
const refused = await client.POST("/orders", { body: { ...asked, quantity: "0.00001" } });

const code: Schemas["ErrorCode"] | undefined = refused.error?.error.code;
console.log(
  JSON.stringify({
    open: open.status,
    price: open.price,
    averagePrice: open.averagePrice,
    listed: page.data.map((order) => order.orderId === orderId),
    taken: taken.status,
    ended: ended.status,
    reason: ended.reason,
    createdAt: new Date(ended.createdAt) <= new Date(ended.updatedAt),
    refused: code,
  }),
);

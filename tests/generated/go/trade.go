// Places, reads and cancels an order with the types of the document: trade URL MARKET. Prints what it saw as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"client/perpetua"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func answered[T any](body *T, status string) *T {
	if body == nil {
		panic(status)
	}
	return body
}

func text(value string) *string { return &value }

func main() {
	url, market, ctx := os.Args[1], os.Args[2], context.Background()
	token := ""
	client := must(perpetua.NewClientWithResponses(url, perpetua.WithRequestEditorFn(
		func(_ context.Context, request *http.Request) error {
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		})))

	email, password := fmt.Sprintf("go-%d-%d@example.org", os.Getpid(), time.Now().UnixNano()), "correct horse"
	registered := must(client.RegisterUserWithResponse(ctx, perpetua.Credentials{Email: email, Password: password}))
	answered(registered.JSON201, registered.Status())
	login := must(client.LogInUserWithResponse(ctx, perpetua.LoginRequest{Email: email, Password: password}))
	token = answered(login.JSON200, login.Status()).Token
	deposit := must(client.MakeDepositWithResponse(ctx, nil, perpetua.DepositRequest{Asset: "USDC", Amount: "10000"}))
	answered(deposit.JSON201, deposit.Status())

	leverage := int64(10)
	asked := perpetua.OrderRequest{
		MarketId: market, Side: perpetua.SideBUY, Type: perpetua.LIMIT,
		Quantity: text("0.5"), Price: text("60000"), Leverage: &leverage,
	}
	placed := must(client.PlaceOrderWithResponse(ctx, asked))
	id := answered(placed.JSON202, placed.Status()).OrderId
	read := must(client.GetOrderWithResponse(ctx, id, &perpetua.GetOrderParams{XWaitForCommand: placed.Headers202.XCommandId}))
	open := answered(read.JSON200, read.Status())
	page := must(client.ListOrdersWithResponse(ctx, &perpetua.ListOrdersParams{
		Limit: 10, Status: &[]perpetua.ListOrdersParamsStatus{perpetua.ListOrdersParamsStatusLIVE},
	}))
	listed := []bool{}
	for _, order := range answered(page.JSON200, page.Status()).Data {
		listed = append(listed, order.OrderId == id)
	}

	cancelled := must(client.CancelOrderWithResponse(ctx, id))
	taken := answered(cancelled.JSON202, cancelled.Status())
	again := must(client.GetOrderWithResponse(ctx, id, &perpetua.GetOrderParams{XWaitForCommand: cancelled.Headers202.XCommandId}))
	ended := answered(again.JSON200, again.Status())
	asked.Quantity = text("0.00001")
	refused := must(client.PlaceOrderWithResponse(ctx, asked))

	must(0, json.NewEncoder(os.Stdout).Encode(map[string]any{
		"open":         open.Status,
		"price":        open.Price,
		"averagePrice": open.AveragePrice,
		"listed":       listed,
		"taken":        taken.Status,
		"ended":        ended.Status,
		"reason":       ended.Reason,
		"createdAt":    !ended.CreatedAt.After(ended.UpdatedAt),
		"refused":      answered(refused.JSON400, refused.Status()).Error.Code,
	}))
}

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.AccountApi;
import org.openapitools.client.api.AuthApi;
import org.openapitools.client.api.OrdersApi;
import org.openapitools.client.model.*;

/** Places, reads and cancels an order with the types of the document: Trade URL MARKET. Prints what it saw as JSON. */
public final class Trade {
  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    String email = "java-" + ProcessHandle.current().pid() + "-" + System.nanoTime() + "@example.org";
    AuthApi users = new AuthApi(client);
    users.registerUser(new Credentials().email(email).password("correct horse"));
    String token = users.logInUser(new LoginRequest().email(email).password("correct horse")).getToken();
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
    new AccountApi(client).makeDeposit(new DepositRequest().asset("USDC").amount("10000"), null);

    OrdersApi orders = new OrdersApi(client);
    OrderRequest asked = new OrderRequest().marketId(arguments[1]).side(Side.BUY).type(OrderType.LIMIT);
    asked.quantity("0.5").price("60000").leverage(10L);
    ApiResponse<OrderTaken> placed = orders.placeOrderWithHttpInfo(asked);
    String id = placed.getData().getOrderId();
    OrderView open = orders.getOrder(id, commandOf(placed));
    OrderPage page = orders.listOrders(10L, null, null, null, null, null, Set.of("LIVE"), null, null);

    ApiResponse<CancelTaken> cancelled = orders.cancelOrderWithHttpInfo(id);
    OrderView ended = orders.getOrder(id, commandOf(cancelled));

    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("open", open.getStatus());
    seen.put("price", open.getPrice());
    seen.put("averagePrice", open.getAveragePrice());
    seen.put("listed", page.getData().stream().map(order -> order.getOrderId().equals(id)).toList());
    seen.put("taken", cancelled.getData().getStatus());
    seen.put("ended", ended.getStatus());
    seen.put("reason", ended.getReason());
    seen.put("createdAt", !ended.getCreatedAt().isAfter(ended.getUpdatedAt()));
    try {
      orders.placeOrder(asked.quantity("0.00001"));
    } catch (ApiException refused) {
      ErrorView error = client.getObjectMapper().readValue(refused.getResponseBody(), ErrorView.class);
      seen.put("refused", error.getError().getCode());
    }
    System.out.println(new ObjectMapper().writeValueAsString(seen));
  }

  private static String commandOf(ApiResponse<?> answer) {
    return answer.getHeaders().entrySet().stream()
        .filter(header -> header.getKey().equalsIgnoreCase("X-Command-Id"))
        .map(header -> header.getValue().get(0))
        .findFirst()
        .orElseThrow();
  }
}

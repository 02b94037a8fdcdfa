import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Standard Webhooks, both ways: requests to BeeGrid are signed as its webhooks are. */
final class Webhooks {
  private static final int TOLERANCE_S = 300;
  /** HTTP/1.1: else it offers plain addresses an upgrade to HTTP/2, which not every server lets pass. */
  private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  /** The type of each webhook that came, by its id. */
  final Map<String, String> taken = new ConcurrentHashMap<>();
  private String secret = "";

  static String sign(String secret, String message, String at, byte[] payload) throws Exception {
    Mac digest = Mac.getInstance("HmacSHA256");
    digest.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256"));
    digest.update((message + "." + at + ".").getBytes(StandardCharsets.UTF_8));
    return "v1," + Base64.getEncoder().encodeToString(digest.doFinal(payload));
  }

  /** Send a signed request. */
  static Map<?, ?> call(String method, String path, Map<String, Object> body) throws Exception {
    byte[] payload = Access.JSON.writeValueAsBytes(body);
    String message = "msg_" + UUID.randomUUID(), at = Long.toString(Instant.now().getEpochSecond());
    HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("BEEGRID_URL") + path))
        .method(method, HttpRequest.BodyPublishers.ofByteArray(payload))
        .headers("content-type", "application/json", "beegrid-company", Access.CODE,
            "webhook-id", message, "webhook-timestamp", at,
            "webhook-signature", sign(System.getenv("BEEGRID_SECRET"), message, at, payload))
        .build();
    HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() >= 300) throw new IOException(path + ": " + answer.statusCode() + " " + answer.body());
    return Access.JSON.readValue(answer.body(), Map.class);
  }

  /** Open a receiver on this machine and let BeeGrid know it. */
  static Webhooks receive() throws Exception {
    Webhooks found = new Webhooks();
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", found::take);
    String url = "http://127.0.0.1:" + server.getAddress().getPort() + "/";
    found.secret = (String) call("PUT", "/v1/webhooks", Map.of("url", url, "rotate", true)).get("secret");
    server.start();
    call("POST", "/v1/webhooks/test", Map.of());
    return found;
  }

  private void take(HttpExchange exchange) throws IOException {
    byte[] payload = exchange.getRequestBody().readAllBytes();
    var headers = exchange.getRequestHeaders();
    String message = headers.getFirst("webhook-id");
    boolean genuine = false;
    try {
      String at = headers.getFirst("webhook-timestamp");
      byte[] wanted = sign(secret, message, at, payload).getBytes(StandardCharsets.UTF_8);
      for (String one : headers.getFirst("webhook-signature").split(" ")) { // two while a secret is being changed
        genuine |= MessageDigest.isEqual(one.getBytes(StandardCharsets.UTF_8), wanted);
      }
      genuine &= Math.abs(Instant.now().getEpochSecond() - Long.parseLong(at)) < TOLERANCE_S;
    } catch (Exception missing) { // a header isn't there, or is no number
      genuine = false;
    }
    // at least once: what came before is taken again, and has no effect again
    if (genuine) taken.putIfAbsent(message, (String) Access.JSON.readValue(payload, Map.class).get("type"));
    exchange.sendResponseHeaders(genuine ? 204 : 401, -1);
    exchange.close();
  }
}

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** How a Java program reaches Kafka, and what it writes there. */
final class Access {
  static final ObjectMapper JSON = new ObjectMapper();
  static final String CODE = env("BEEGRID_CODE", ""), PREFIX = env("BEEGRID_PREFIX", "beegrid.");
  private static final String TEXT = "org.apache.kafka.common.serialization.String";

  private Access() {}

  static String env(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }

  /** Settings of a client; `more` are names and values. */
  static Map<String, Object> with(Object... more) {
    Map<String, Object> settings = new HashMap<>(Map.of(
        "bootstrap.servers", env("BEEGRID_KAFKA", ""),
        "sasl.mechanism", "SCRAM-SHA-512",
        "sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s\";"
            .formatted(env("BEEGRID_USER", ""), env("BEEGRID_PASSWORD", "")),
        "security.protocol", "SASL_PLAINTEXT",
        "key.serializer", TEXT + "Serializer", "value.serializer", TEXT + "Serializer",
        "key.deserializer", TEXT + "Deserializer", "value.deserializer", TEXT + "Deserializer"));
    if (System.getenv("BEEGRID_CA") != null) {
      settings.putAll(Map.of("security.protocol", "SASL_SSL", "ssl.truststore.type", "PEM",
          "ssl.truststore.location", env("BEEGRID_CA", "")));
    }
    for (int i = 0; i < more.length; i += 2) settings.put((String) more[i], more[i + 1]);
    return settings;
  }

  /** A record of CloudEvents 1.0, whichever way your library writes them: one JSON object, or headers beside the body. */
  static ProducerRecord<String, String> event(String topic, Map<String, Object> body, boolean structured) throws Exception {
    String key = (String) body.get("external_id");
    Map<String, Object> said = new LinkedHashMap<>(Map.of(
        "specversion", "1.0", "id", key, "source", "/dispatch", "type", "filed"));
    if (structured) {
      said.putAll(Map.of("datacontenttype", "application/json", "data", body));
      ProducerRecord<String, String> record = new ProducerRecord<>(topic, key, JSON.writeValueAsString(said));
      record.headers().add("content-type", "application/cloudevents+json".getBytes(StandardCharsets.UTF_8));
      return record;
    }
    ProducerRecord<String, String> record = new ProducerRecord<>(topic, key, JSON.writeValueAsString(body));
    record.headers().add("content-type", "application/json".getBytes(StandardCharsets.UTF_8));
    said.forEach((name, text) -> record.headers().add("ce_" + name, text.toString().getBytes(StandardCharsets.UTF_8)));
    return record;
  }

  static String header(ConsumerRecord<?, ?> record, String name) {
    var found = record.headers().lastHeader(name);
    return found == null ? "" : new String(found.value(), StandardCharsets.UTF_8);
  }
}

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;

/** A platform company: it registers a rider, files reports over Kafka, and reads what becomes of each of them. */
public final class Company {
  static final String RIDERS = Access.PREFIX + "inbound." + Access.CODE + ".riders.v1";
  static final String REPORTS = Access.PREFIX + "inbound." + Access.CODE + ".reports.v1";
  static final String ANSWERS = Access.PREFIX + "outbound." + Access.CODE + ".reports.v1";
  static final String NOW = Instant.now().toString(), RUN = UUID.randomUUID().toString().substring(0, 8);
  static final String[] PLACE = Access.env("BEEGRID_PLACE", "").split(",");
  static final Map<String, Integer> known = new HashMap<>();
  static final Map<String, String> waiting = new HashMap<>(Map.of("webhook", "webhook.test"));

  static Map<String, Object> report(String number, String kind) {
    Map<String, Object> place = Map.of("lng", Double.valueOf(PLACE[0]), "lat", Double.valueOf(PLACE[1]),
        "datum", "wgs84", "accuracy_m", 8);
    return Map.of("external_id", number, "rider", "java-1", "kind", kind, "place", place, "occurred_at", NOW);
  }

  static void found(String name, String what) {
    if (waiting.remove(name, what)) System.out.println(name + ": " + what);
  }

  /** Whose record it is, and what it says. */
  static void answered(ConsumerRecord<String, String> record) throws Exception {
    if (record.topic().equals(REPORTS + ".dlq")) {
      found("letter " + record.key(), Access.header(record, "dlq-code"));
      return;
    }
    int version = Integer.parseInt(Access.header(record, "ce_aggregateversion"));
    // at least once: the same, or an older one, changes nothing
    int before = known.getOrDefault(record.key(), 0);
    if (0 < version && version <= before) return;
    known.put(record.key(), Math.max(version, before)); // 0: no report, or none yet; in earnest: in your database, together with what you make of it
    found(record.key(), Access.JSON.readTree(record.value()).get("stage").asText());
  }

  static KafkaProducer<String, String> producer(String codec) {
    return new KafkaProducer<>(Access.with("compression.type", codec, "acks", "all"));
  }

  public static void main(String[] arguments) throws Exception {
    Webhooks webhooks = Webhooks.receive();
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (var producer = producer(codec)) {
        Map<String, Object> rider = Map.of("external_id", "java-1", "name", "示例", "consent_at", NOW);
        producer.send(Access.event(RIDERS, rider, true)).get();
        for (boolean structured : new boolean[] {false, true}) {
          String number = "java-%s-%s-%s".formatted(RUN, codec, structured ? "structured" : "binary");
          for (int times = 0; times < 2; times++) {
            // whoever isn't sure sends again: the same number with the same content counts once
            producer.send(Access.event(REPORTS, report(number, "local-connection-test"), structured)).get();
          }
          waiting.put(number, "in_case");
        }
      }
    }
    String bad = "java-" + RUN + "-bad";
    waiting.putAll(Map.of(bad, "refused", "letter " + bad, "unknown_kind"));
    try (var producer = producer("none")) {
      producer.send(Access.event(REPORTS, report(bad, "no-such-kind"), false)).get();
    }
    String group = Access.PREFIX + "company-" + Access.CODE + ".java";
    Instant until = Instant.now().plusSeconds(90);
    try (var consumer = new KafkaConsumer<String, String>(Access.with(
        "group.id", group, "enable.auto.commit", false, "auto.offset.reset", "earliest"))) {
      consumer.subscribe(List.of(ANSWERS, REPORTS + ".dlq"));
      while (!waiting.isEmpty() && Instant.now().isBefore(until)) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) answered(record);
        consumer.commitSync(); // only now: whoever is killed before it reads the records again
        webhooks.taken.values().forEach(kind -> found("webhook", kind));
      }
    }
    if (!waiting.isEmpty()) System.out.println("missing: " + waiting);
    System.exit(waiting.isEmpty() ? 0 : 1);
  }
}

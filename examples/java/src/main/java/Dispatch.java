import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** A dispatch centre: it keeps the latest state of every case. Run as many as you like, they share the partitions. */
public final class Dispatch {
  /** A file a case; in earnest a row in your database. */
  static final Path FOLDER = Path.of(Access.env("BEEGRID_STATE", ""));

  /** Keep a case's state unless a later one is known. Doing it twice, or half and then again, changes nothing. */
  static String handle(String id, int version, String value) throws IOException {
    Path file = FOLDER.resolve(id + ".json");
    JsonNode known = Files.exists(file) ? Access.JSON.readTree(file.toFile()) : Access.JSON.createObjectNode();
    // a record without a value has the version of the state that leaves
    boolean leaves = value == null && known.hasNonNull("case") && version == known.path("version").asInt();
    if (version <= known.path("version").asInt() && !leaves) return "repeated";
    JsonNode body = value == null ? null : Access.JSON.readTree(value);
    ObjectNode state = Access.JSON.createObjectNode().put("version", version).set("case", body);
    Path fresh = FOLDER.resolve(id + "." + ProcessHandle.current().pid());
    Files.writeString(fresh, state.toString());
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE); // all of it or nothing
    return value == null ? "left" : body.get("state").asText();
  }

  public static void main(String[] arguments) throws Exception {
    Files.createDirectories(FOLDER);
    String group = Access.PREFIX + "system-" + Access.CODE + "." + Access.env("BEEGRID_GROUP", "dispatch");
    Thread main = Thread.currentThread();
    try (var consumer = new KafkaConsumer<String, String>(Access.with(
        "group.id", group, "enable.auto.commit", false, "auto.offset.reset", "earliest",
        "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor"))) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> {
        consumer.wakeup();
        try {
          main.join(); // the group hears that this one leaves: the others take over at once
        } catch (InterruptedException ended) {
          Thread.currentThread().interrupt();
        }
      }));
      consumer.subscribe(List.of(Access.PREFIX + "public.case-changed.v1"), new ConsumerRebalanceListener() {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> taken) {}

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> given) {
          System.out.println("assigned " + given.stream().map(TopicPartition::partition).sorted().toList());
        }
      });
      while (true) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
          int version = Integer.parseInt(Access.header(record, "ce_aggregateversion"));
          String done = handle(record.key(), version, record.value());
          System.out.println("case " + record.key() + " " + version + " " + done);
        }
        consumer.commitSync(); // only now: whoever is killed before it reads the records again
      }
    } catch (WakeupException stopped) {
      System.out.println("stopped");
    }
  }
}

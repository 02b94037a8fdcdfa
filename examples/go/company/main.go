// A platform company: it registers a rider, files reports over Kafka, and reads what becomes of each of them.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"beegrid.example/outside"
)

type object = outside.Object

var (
	riders  = outside.Topic("inbound." + outside.Code + ".riders.v1")
	reports = outside.Topic("inbound." + outside.Code + ".reports.v1")
	answers = outside.Topic("outbound." + outside.Code + ".reports.v1")
	codecs  = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	now, run, place = time.Now().UTC().Format(time.RFC3339Nano), rand.Text()[:8], object{}
	known           = map[string]int{}
)

func report(number, kind string) object {
	return object{"external_id": number, "rider": "go-1", "kind": kind, "place": place, "occurred_at": now}
}

// answered says whose record it is, and what it says.
func answered(record *kgo.Record) (string, string) {
	if record.Topic == reports+".dlq" {
		return "letter " + string(record.Key), outside.Header(record, "dlq-code")
	}
	version := outside.Must(strconv.Atoi(outside.Header(record, "ce_aggregateversion")))
	if 0 < version && version <= known[string(record.Key)] { // at least once: the same, or an older one, changes nothing
		return string(record.Key), "repeated"
	}
	known[string(record.Key)] = max(version, known[string(record.Key)]) // 0: no report, or none yet; in earnest: in your database, together with what you make of it
	var said struct{ Stage string }
	outside.Must(0, json.Unmarshal(record.Value, &said))
	return string(record.Key), said.Stage
}

func main() {
	degrees := strings.Split(os.Getenv("BEEGRID_PLACE"), ",")
	place = object{"lng": json.Number(degrees[0]), "lat": json.Number(degrees[1]), "datum": "wgs84", "accuracy_m": 8}
	within, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	webhooks, waiting := outside.Receive(), map[string]string{"webhook": "webhook.test"}
	rider := object{"external_id": "go-1", "name": "示例", "consent_at": now}
	for name, codec := range codecs {
		producer := outside.Client(kgo.ProducerBatchCompression(codec))
		batch := []*kgo.Record{outside.Event(riders, rider, true)}
		for way, structured := range map[string]bool{"binary": false, "structured": true} {
			number := fmt.Sprintf("go-%s-%s-%s", run, name, way)
			for range 2 { // whoever isn't sure sends again: the same number with the same content counts once
				batch = append(batch, outside.Event(reports, report(number, "local-connection-test"), structured))
			}
			waiting[number] = "in_case"
		}
		outside.Must(producer, producer.ProduceSync(within, batch...).FirstErr()).Close()
	}
	bad := "go-" + run + "-bad"
	waiting[bad], waiting["letter "+bad] = "refused", "unknown_kind"
	client := outside.Client(kgo.ConsumerGroup(outside.Topic("company-"+outside.Code+".go")), kgo.DisableAutoCommit(),
		kgo.ConsumeTopics(answers, reports+".dlq"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	outside.Must(0, client.ProduceSync(within, outside.Event(reports, report(bad, "no-such-kind"), false)).FirstErr())
	found := func(name, what string) {
		if waiting[name] == what {
			fmt.Printf("%s: %s\n", name, what)
			delete(waiting, name)
		}
	}
	for len(waiting) > 0 && within.Err() == nil {
		select {
		case kind := <-webhooks:
			found("webhook", kind)
		default:
		}
		moment, stop := context.WithTimeout(within, 500*time.Millisecond)
		client.PollFetches(moment).EachRecord(func(record *kgo.Record) { found(answered(record)) })
		stop()
		client.CommitUncommittedOffsets(within) // only now: whoever is killed before it reads the records again
	}
	if len(waiting) > 0 {
		fmt.Println("missing:", waiting)
		os.Exit(1)
	}
}

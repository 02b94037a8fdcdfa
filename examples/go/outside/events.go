package outside

import (
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Object is a JSON object.
type Object = map[string]any

// Event is a record of CloudEvents 1.0, whichever way your library writes them: one JSON object, or headers beside the body.
func Event(topic string, body Object, structured bool) *kgo.Record {
	record := &kgo.Record{Topic: topic, Key: []byte(body["external_id"].(string))}
	said := Object{"specversion": "1.0", "id": body["external_id"], "source": "/dispatch", "type": "filed"}
	media := "application/json"
	if structured {
		said["datacontenttype"], said["data"] = media, body
		media, body = "application/cloudevents+json", said
	} else {
		for name, text := range said {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(text.(string))})
		}
	}
	record.Headers = append(record.Headers, kgo.RecordHeader{Key: "content-type", Value: []byte(media)})
	record.Value = Must(json.Marshal(body))
	return record
}

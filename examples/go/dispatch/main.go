// A dispatch centre: it keeps the latest state of every case. Run as many as you like, they share the partitions.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"

	"beegrid.example/outside"
)

var folder = os.Getenv("BEEGRID_STATE") // a file a case; in earnest a row in your database

type state struct {
	Version int             `json:"version"`
	Case    json.RawMessage `json:"case"`
}

// handle keeps a case's state unless a later one is known. Doing it twice, or half and then again, changes nothing.
func handle(id string, version int, value []byte) string {
	file := filepath.Join(folder, id+".json")
	known, fresh := state{}, state{version, value}
	if kept, err := os.ReadFile(file); err == nil {
		outside.Must(0, json.Unmarshal(kept, &known))
	} else if !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	there := len(known.Case) > 0 && string(known.Case) != "null"
	// a record without a value has the version of the state that leaves
	leaves := value == nil && there && version == known.Version
	if version <= known.Version && !leaves {
		return "repeated"
	}
	half := fmt.Sprintf("%s.%d", filepath.Join(folder, id), os.Getpid())
	outside.Must(0, os.WriteFile(half, outside.Must(json.Marshal(fresh)), 0o600))
	outside.Must(0, os.Rename(half, file)) // all of it or nothing
	if value == nil {
		return "left"
	}
	var said struct{ State string }
	outside.Must(0, json.Unmarshal(value, &said))
	return said.State
}

func main() {
	working, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	outside.Must(0, os.MkdirAll(folder, 0o700))
	name := os.Getenv("BEEGRID_GROUP")
	if name == "" {
		name = "dispatch"
	}
	client := outside.Client(
		kgo.ConsumerGroup(outside.Topic("system-"+outside.Code+"."+name)), kgo.DisableAutoCommit(),
		kgo.ConsumeTopics(outside.Topic("public.case-changed.v1")), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.RangeBalancer()), // every change of the group gives all partitions out again
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			for _, partitions := range given {
				slices.Sort(partitions)
				fmt.Println("assigned", partitions)
			}
		}),
	)
	defer client.Close() // the others of the group take over at once
	for working.Err() == nil {
		fetched := client.PollFetches(working)
		if err := fetched.Err(); err != nil && working.Err() == nil {
			log.Fatal(err)
		}
		fetched.EachRecord(func(record *kgo.Record) {
			version := outside.Must(strconv.Atoi(outside.Header(record, "ce_aggregateversion")))
			fmt.Println("case", string(record.Key), version, handle(string(record.Key), version, record.Value))
		})
		client.CommitUncommittedOffsets(context.Background()) // only now: whoever is killed before it reads them again
	}
}

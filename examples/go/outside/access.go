// Package outside is how a Go program reaches BeeGrid: its access to Kafka, and Standard Webhooks both ways.
package outside

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Code is the company's or city system's.
var Code = os.Getenv("BEEGRID_CODE")

// Must ends the program where there is an error.
func Must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// Topic is the name of a topic or group on this installation.
func Topic(name string) string {
	prefix, found := os.LookupEnv("BEEGRID_PREFIX")
	if !found {
		prefix = "beegrid."
	}
	return prefix + name
}

// Client makes a Kafka client with the access that the environment names.
func Client(options ...kgo.Opt) *kgo.Client {
	user := scram.Auth{User: os.Getenv("BEEGRID_USER"), Pass: os.Getenv("BEEGRID_PASSWORD")}
	options = append(options,
		kgo.SeedBrokers(strings.Split(os.Getenv("BEEGRID_KAFKA"), ",")...),
		kgo.SASL(user.AsSha512Mechanism()),
	)
	if file, found := os.LookupEnv("BEEGRID_CA"); found {
		authorities := x509.NewCertPool()
		authorities.AppendCertsFromPEM(Must(os.ReadFile(file)))
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: authorities}))
	}
	return Must(kgo.NewClient(options...))
}

// Header is the text of a record's header; empty where it has none of this name.
func Header(record *kgo.Record, name string) string {
	for _, header := range record.Headers {
		if header.Key == name {
			return string(header.Value)
		}
	}
	return ""
}

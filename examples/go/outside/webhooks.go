package outside

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sign signs a request to BeeGrid, and what BeeGrid sends: the same way.
func Sign(secret, message, at string, payload []byte) string {
	digest := hmac.New(sha256.New, Must(base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))))
	fmt.Fprintf(digest, "%s.%s.%s", message, at, payload)
	return "v1," + base64.StdEncoding.EncodeToString(digest.Sum(nil))
}

// Call sends a signed request.
func Call(method, path string, body map[string]any) (answer map[string]any) {
	payload, message, at := Must(json.Marshal(body)), "msg_"+rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	request := Must(http.NewRequest(method, os.Getenv("BEEGRID_URL")+path, bytes.NewReader(payload)))
	request.Header.Set("content-type", "application/json")
	request.Header.Set("beegrid-company", Code)
	request.Header.Set("webhook-id", message)
	request.Header.Set("webhook-timestamp", at)
	request.Header.Set("webhook-signature", Sign(os.Getenv("BEEGRID_SECRET"), message, at, payload))
	response := Must(http.DefaultClient.Do(request))
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode >= 300 {
		log.Fatal(path, ": ", response.Status, " ", answer, err)
	}
	return answer
}

// Receive opens a receiver on this machine, lets BeeGrid know it, and returns the types of what comes.
func Receive() <-chan string {
	var lock sync.Mutex
	secret, seen, taken := "", map[string]bool{}, make(chan string, 100)
	lock.Lock()
	listener := Must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		payload, message := Must(io.ReadAll(request.Body)), request.Header.Get("webhook-id")
		if !genuine(request.Header, secret, message, payload) {
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		var said struct{ Type string }
		if !seen[message] && json.Unmarshal(payload, &said) == nil {
			seen[message] = true // at least once: what came before has no effect again
			taken <- said.Type
		}
		answer.WriteHeader(http.StatusNoContent)
	}))
	url := fmt.Sprintf("http://%s/", listener.Addr())
	secret = Call("PUT", "/v1/webhooks", map[string]any{"url": url, "rotate": true})["secret"].(string)
	lock.Unlock()
	Call("POST", "/v1/webhooks/test", map[string]any{})
	return taken
}

func genuine(header http.Header, secret, message string, payload []byte) bool {
	at := header.Get("webhook-timestamp")
	sent, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	wanted := []byte(Sign(secret, message, at, payload))
	for _, one := range strings.Fields(header.Get("webhook-signature")) { // two while a secret is being changed
		if hmac.Equal([]byte(one), wanted) {
			return true
		}
	}
	return false
}

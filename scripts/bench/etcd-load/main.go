// Loads etcd as crates/adapters/store/examples/load.rs loads our store: the same keys, values, counts and clock.
//
//	etcd-load <address,…> <clients> <connections> <seconds>
//	etcd-load <address,…> watch <seconds>
//
// Every connection is made to the first address; the script names the leader first, where our client goes as well.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	keys  = 10000
	value = 512
	pace  = 200 // watched writes per second
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd-load:", err)
		os.Exit(1)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func connect(nodes string) *clientv3.Client {
	first := strings.SplitN(nodes, ",", 2)[0]
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{first}, DialTimeout: 5 * time.Second})
	check(err)
	// The connection is made when it is first used; that must not be measured.
	_, err = client.Get(context.Background(), "absent")
	check(err)
	return client
}

func write(nodes string, clients, connections int, span time.Duration) {
	conns := make([]*clientv3.Client, connections)
	for i := range conns {
		conns[i] = connect(nodes)
	}
	payload := string(bytes.Repeat([]byte{0x5a}, value))
	all := make([][]time.Duration, clients)
	begun := time.Now()
	var wait sync.WaitGroup
	for c := 0; c < clients; c++ {
		wait.Add(1)
		go func(c int) {
			defer wait.Done()
			for n := c; time.Since(begun) < span; n += clients {
				sent := time.Now()
				_, err := conns[c%connections].Put(context.Background(), fmt.Sprintf("registry/workloads/%05d", n%keys), payload)
				check(err)
				all[c] = append(all[c], time.Since(sent))
			}
		}(c)
	}
	wait.Wait()
	var latencies []time.Duration
	for _, some := range all {
		latencies = append(latencies, some...)
	}
	summary(latencies, time.Since(begun))
}

func watch(nodes string, span time.Duration) {
	writer, watcher := connect(nodes), connect(nodes)
	events := watcher.Watch(context.Background(), "watched")
	// The watch must exist before the first write.
	time.Sleep(300 * time.Millisecond)
	begun := time.Now()
	count := pace * int(span.Seconds())
	go func() {
		tick := time.NewTicker(time.Second / pace)
		for i := 0; i < count; i++ {
			<-tick.C
			payload := bytes.Repeat([]byte{0x5a}, value)
			binary.LittleEndian.PutUint64(payload, uint64(time.Since(begun)))
			_, err := writer.Put(context.Background(), "watched", string(payload))
			check(err)
		}
	}()
	var latencies []time.Duration
	for len(latencies) < count {
		response := <-events
		check(response.Err())
		seen := time.Since(begun)
		for _, event := range response.Events {
			latencies = append(latencies, seen-time.Duration(binary.LittleEndian.Uint64(event.Kv.Value)))
		}
	}
	summary(latencies, time.Since(begun))
}

func summary(latencies []time.Duration, took time.Duration) {
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(part int) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[len(latencies)*part/100].Nanoseconds()) / 1e6
	}
	fmt.Printf("{\"count\":%d,\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
		len(latencies), float64(len(latencies))/took.Seconds(), at(50), at(99))
}

func main() {
	arguments := os.Args[1:]
	switch {
	case len(arguments) == 3 && arguments[1] == "watch":
		watch(arguments[0], time.Duration(number(arguments[2]))*time.Second)
	case len(arguments) == 4:
		write(arguments[0], number(arguments[1]), number(arguments[2]), time.Duration(number(arguments[3]))*time.Second)
	default:
		fmt.Fprintln(os.Stderr, "which address, how many clients and connections, how many seconds?")
		os.Exit(2)
	}
}
